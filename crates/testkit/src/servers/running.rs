//! One server, wherever it runs, and whether it answers.

use std::{env, sync::Mutex, time::Duration};

use servers::{Installed, Server};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{missing, own::Own};
use crate::Proxy;

/// Looks for an answer this often, and this many times.
pub(super) const LOOKS: (Duration, u32) = (Duration::from_millis(50), 1_800);

/// A server on which each test has a database, or names, of its own.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) url: String,
    pub(super) own: Option<Mutex<Own>>,
    /// What its clients reach it through, where a test may cut them off.
    pub(super) proxy: Option<Proxy>,
}

impl Running {
    /// The server that a variable names, or one that is started here.
    pub(super) fn find(server: Server, variable: &str) -> Option<Self> {
        if let Ok(url) = env::var(variable) {
            return Some(Self { server, url, own: None, proxy: None });
        }
        let Some(installed) = Installed::find(server) else {
            missing(server, Some(variable));
            return None;
        };
        let own = Own::start(server, installed, crate::free_port(), &[])
            .unwrap_or_else(|error| panic!("{server} does not start: {error}"));
        Some(Self::alone(server, own))
    }

    /// One that was started here.
    pub(super) fn alone(server: Server, own: Own) -> Self {
        Self { server, url: server.url(own.port, None), own: Some(Mutex::new(own)), proxy: None }
    }

    /// One that is started here, and says that it is where a proxy to it is.
    pub(super) async fn behind_a_proxy(server: Server) -> Option<Self> {
        let Some(installed) = Installed::find(server) else {
            missing(server, None);
            return None;
        };
        let port = crate::free_port();
        let proxy = Proxy::to(&format!("127.0.0.1:{port}")).await;
        let advertised = format!("advertised.listeners=BROKER://{}", proxy.address());
        let options: &[&str] = if server == Server::Kafka { &["--override", &advertised] } else { &[] };
        let own = Own::start(server, installed, port, options)
            .unwrap_or_else(|error| panic!("{server} does not start: {error}"));
        let url = server.url(proxy.address().port(), None);
        Some(Self { server, url, own: Some(Mutex::new(own)), proxy: Some(proxy) })
    }

    pub(super) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a proxy")
    }

    pub(super) fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.as_ref().expect("a server of our own").lock().expect("nobody panicked")
    }

    pub(super) async fn wait(&self) {
        for _ in 0..LOOKS.1 {
            if self.answers().await {
                return;
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("{} does not answer; its log is beside its data", self.server);
    }

    async fn answers(&self) -> bool {
        let address = || self.url.rsplit(['/', '@']).next().unwrap_or_default();
        match self.server {
            Server::Postgres => PgConnection::connect(&format!("{}/postgres", self.url)).await.is_ok(),
            // It listens once it is registered with its controller.
            Server::MongoDb | Server::Kafka => TcpStream::connect(address()).await.is_ok(),
            // To what is not its protocol it says which it speaks.
            Server::RabbitMq => first_byte(address(), b"AMQP\0\0\0\0").await.is_ok_and(|byte| byte == b'A'),
            // It answers before it has found itself to be the cluster.
            Server::OpenSearch => is_elected(address()).await.unwrap_or_default(),
            // It greets.
            Server::Nats => first_line(address(), "").await.is_ok_and(|line| line.starts_with("INFO ")),
            Server::Redis => {
                let host = address().split(['?', '/']).next().unwrap_or_default();
                // One with a password refuses the command, and answers.
                first_line(host, "PING\r\n")
                    .await
                    .is_ok_and(|line| line.starts_with(['+', '-']) && !line.contains("LOADING"))
            }
        }
    }
}

/// What a server says first to `words`.
async fn first_line(address: &str, words: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(words.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

/// Whether a search server is ready for indices.
async fn is_elected(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let ask = format!("GET /_cluster/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200") && !answer.contains("\"status\":\"red\""))
}

/// The first byte that a server says to `words`.
async fn first_byte(address: &str, words: &[u8]) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(words).await?;
    stream.read_u8().await
}
