//! A TCP proxy on loopback that loses an answer, or all of them for a while, or falls silent.
#![allow(clippy::expect_used, reason = "a test that cannot be set up has to stop, and this crate is for tests only")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

const CHUNK: usize = 16 * 1024;

/// Stands between a client and a server; gone with its last handle.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    link: Arc<Mutex<Link>>,
    _stop: DropGuard,
}

/// Whether connections are let through, and where to.
#[derive(Debug)]
struct Link {
    server: String,
    cut: bool,
    /// Ends those that were made before the last cut.
    connected: CancellationToken,
    /// Silences those that were made before the last hush.
    heard: CancellationToken,
}

#[derive(Debug, Default)]
struct Fault {
    /// What the client sends, and how often it may still send it.
    marker: Option<(&'static [u8], usize)>,
    lost: usize,
    /// How long each answer takes longer.
    delay: Duration,
}

impl Proxy {
    /// Starts a proxy to a server, `host:port`.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (fault, stop, tasks) = (Arc::<Mutex<Fault>>::default(), CancellationToken::new(), TaskTracker::new());
        let (shared, connections) = (Arc::clone(&fault), tasks.clone());
        let (connected, heard) = (CancellationToken::new(), CancellationToken::new());
        let link = Arc::new(Mutex::new(Link { server: server.to_owned(), cut: false, connected, heard }));
        let (state, every) = (Arc::clone(&link), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let fault = Arc::clone(&shared);
                let (server, cut, token, heard) = {
                    let link = locked(&state);
                    (link.server.clone(), link.cut, link.connected.clone(), link.heard.clone())
                };
                if cut {
                    continue; // and hangs up
                }
                let every = every.clone();
                // A connection that breaks is what its client has to deal with.
                connections.spawn(async move {
                    let passing = token.run_until_cancelled(pass(client, &server, &fault, &heard));
                    drop(every.run_until_cancelled(passing).await);
                });
            }
        }));
        Self { address, fault, link, _stop: stop.drop_guard() }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `nth` time (from 1) that a client sends this, the server receives and does it, and its answer is lost with
    /// the connection.
    pub fn lose_answer_to(&self, marker: &'static [u8], nth: usize) {
        locked(&self.fault).marker = Some((marker, nth));
    }

    /// Ends all connections, and each new one at once, until [`Self::restore`].
    pub fn cut(&self) {
        let mut link = locked(&self.link);
        link.cut = true;
        std::mem::take(&mut link.connected).cancel();
    }

    /// Has the connections that there are fall silent, as when the other machine has lost its power: they stay open, and
    /// what is sent on them goes nowhere. New ones pass.
    pub fn hush(&self) {
        std::mem::take(&mut locked(&self.link).heard).cancel();
    }

    /// Leads new connections to another server; those that are there stay.
    pub fn lead_to(&self, server: &str) {
        server.clone_into(&mut locked(&self.link).server);
    }

    /// Lets connections pass again.
    pub fn restore(&self) {
        locked(&self.link).cut = false;
    }

    /// Has answers take so much longer, each together with those that come at the same time.
    pub fn delay(&self, delay: Duration) {
        locked(&self.fault).delay = delay;
    }

    /// How many answers have been lost.
    pub fn lost(&self) -> usize {
        locked(&self.fault).lost
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fault {
    /// Whether the answer to this is to be lost.
    fn catches(&mut self, said: &[u8]) -> bool {
        let Some((marker, left)) = &mut self.marker else { return false };
        *left -= usize::from(said.windows(marker.len()).any(|window| window == *marker));
        let caught = *left == 0;
        if caught {
            self.marker = None;
            self.lost += 1;
        }
        caught
    }
}

async fn pass(
    mut client: TcpStream,
    server: &str,
    fault: &Mutex<Fault>,
    heard: &CancellationToken,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut said, mut answered) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        tokio::select! {
            biased;
            () = heard.cancelled() => return tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop),
            length = client.read(&mut said) => {
                let said = &said[..length?];
                if said.is_empty() {
                    return Ok(());
                }
                let caught = locked(fault).catches(said);
                server.write_all(said).await?;
                if caught {
                    return server.read(&mut answered).await.map(drop);
                }
            }
            length = server.read(&mut answered) => {
                let answered = &answered[..length?];
                if answered.is_empty() {
                    return Ok(());
                }
                let delay = locked(fault).delay;
                tokio::time::sleep(delay).await;
                client.write_all(answered).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says everything back, in capitals.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients = TaskTracker::new();
        TaskTracker::new().spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                clients.spawn(async move {
                    let mut said = [0; 64];
                    while let Ok(length @ 1..) = client.read(&mut said).await {
                        client.write_all(&said[..length].to_ascii_uppercase()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn say(client: &mut TcpStream, text: &str) -> String {
        client.write_all(text.as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let length = client.read(&mut answer).await.unwrap_or_default();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test]
    async fn one_answer_is_lost_and_the_next_connection_works() {
        let proxy = Proxy::to(&echo().await.to_string()).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.lose_answer_to(b"commit", 2);
        assert_eq!(say(&mut client, "begin").await, "BEGIN");
        assert_eq!(say(&mut client, "commit 1").await, "COMMIT 1");
        assert_eq!((say(&mut client, "commit 2").await.as_str(), proxy.lost()), ("", 1));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!((say(&mut client, "commit 3").await.as_str(), proxy.lost()), ("COMMIT 3", 1));
    }

    #[tokio::test]
    async fn a_hushed_connection_stays_open_and_the_next_one_works() {
        let proxy = Proxy::to(&echo().await.to_string()).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut client, "here").await, "HERE");
        proxy.hush();
        let answer = tokio::time::timeout(Duration::from_millis(200), say(&mut client, "still here")).await;
        assert!(answer.is_err(), "neither an answer nor an end: {answer:?}");
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut client, "here").await, "HERE");
    }
}
