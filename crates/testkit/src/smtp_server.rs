//! A server of mail on a real port: it speaks as much SMTP (RFC 5321) as a client needs that sends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has to stop, and this crate is for tests only"
)]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The sender, as the dialogue names it.
    pub from: String,
    /// The recipient, as the dialogue names it.
    pub to: String,
    /// Headers and text.
    pub content: String,
    /// Before it was asked for: whoever sent it lived then.
    pub asked: Instant,
    /// When it was taken: whoever sent it may have died meanwhile.
    pub taken: Instant,
}

impl Received {
    /// The one line that can be a token: 43 characters of base64url. Long lines come with soft breaks.
    ///
    /// # Panics
    /// When there is none.
    pub fn token(&self) -> String {
        let content = self.content.replace("=\r\n", "");
        let is_token =
            |line: &&str| line.len() == 43 && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        content.lines().find(is_token).unwrap_or_else(|| panic!("no token in {content}")).to_owned()
    }

    /// What its header `Message-ID` says.
    ///
    /// # Panics
    /// When it has none.
    pub fn message_id(&self) -> &str {
        self.content.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap()
    }
}

/// The server; goes on until the end of its test's runtime.
#[derive(Clone, Debug, Default)]
pub struct SmtpServer {
    mails: Arc<Mutex<Vec<Received>>>,
    /// Answers to the next mails, the last one first.
    answers: Arc<Mutex<Vec<&'static str>>>,
    /// What was said to it on connections that have ended.
    dialogues: Arc<Mutex<Vec<Vec<String>>>>,
}

impl SmtpServer {
    /// Listens, and gives its URL too.
    ///
    /// # Panics
    /// When the system has no port for it.
    pub async fn start() -> (Self, String) {
        let server = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
        let (accepting, tasks) = (server.clone(), TaskTracker::new());
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tasks.spawn(async move { server.talk(stream).await });
            }
        });
        (server, url)
    }

    /// What has arrived so far.
    ///
    /// # Panics
    /// When a dialogue has panicked, here and below.
    pub fn mails(&self) -> Vec<Received> {
        self.mails.lock().unwrap().clone()
    }

    /// The mails to one address, once there are so many.
    pub async fn mails_to(&self, address: &str, count: usize) -> Vec<Received> {
        let of_address = || self.mails().into_iter().filter(|mail| mail.to == address).collect::<Vec<_>>();
        crate::eventually!(of_address().len() >= count);
        of_address()
    }

    /// Has the next mails answered like this, the last one first.
    pub fn set_answers(&self, answers: &[&'static str]) {
        *self.answers.lock().unwrap() = answers.to_vec();
    }

    /// The commands on each connection that has ended, once there are so many.
    pub async fn dialogues(&self, count: usize) -> Vec<Vec<String>> {
        let ended = || self.dialogues.lock().unwrap().clone();
        crate::eventually!(ended().len() >= count);
        ended()
    }

    async fn talk(&self, stream: TcpStream) {
        let mut said = Vec::new();
        // A client that is gone is what it wants to be.
        drop(self.answer(stream, &mut said).await);
        self.dialogues.lock().unwrap().push(said);
    }

    async fn answer(&self, stream: TcpStream, said: &mut Vec<String>) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let (mut from, mut to) = (String::new(), String::new());
        write.write_all(b"220 mail.example ESMTP\r\n").await?;
        while let Ok(Some(line)) = lines.next_line().await {
            said.push(line.clone());
            let path = || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).unwrap().0.to_owned();
            let answer = match line.get(..4).unwrap_or_default() {
                "EHLO" => "250-mail.example\r\n250 8BITMIME",
                "MAIL" => {
                    from = path();
                    self.answers.lock().unwrap().pop().unwrap_or("250 ok")
                }
                "RCPT" => {
                    to = path();
                    "250 ok"
                }
                "DATA" => {
                    let asked = Instant::now();
                    write.write_all(b"354 go on\r\n").await?;
                    let mut content = String::new();
                    loop {
                        let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                        if line == "." {
                            break;
                        }
                        content.push_str(&line);
                        content.push_str("\r\n");
                    }
                    self.mails.lock().unwrap().push(Received {
                        from: from.clone(),
                        to: to.clone(),
                        content,
                        asked,
                        taken: Instant::now(),
                    });
                    "250 queued"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}
