//! The live events of orders, as Server-Sent Events; a connection that breaks is resumed.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::http::{Http, Incoming};

/// A stream that says nothing for so long is broken: there is a heartbeat every 8 s.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two tries to connect, and how many there are.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;
/// The longest event that is read, in bytes.
const LIMIT: usize = 1 << 20;
/// The close code of a stream whose access token has run out.
const EXPIRED: u64 = 4401;

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// An event of an order (`CloudEvents` in JSON).
    Event(Value),
    /// Events are missing: look at the orders themselves.
    Missed,
    /// The access token has run out.
    Expired,
}

/// Why there is no connection.
struct Refused {
    cause: anyhow::Error,
    may_retry: bool,
}

/// A stream of live events.
#[derive(Debug)]
pub(crate) struct Live {
    http: Http,
    url: String,
    headers: Vec<(String, String)>,
    connection: Option<Incoming>,
    /// What was seen last.
    seen: Option<String>,
    read: Vec<u8>,
    told: VecDeque<Told>,
}

impl Live {
    /// Connects.
    ///
    /// # Errors
    ///
    /// It is refused, or there is no answer.
    pub(crate) async fn open(http: Http, url: String, headers: Vec<(String, String)>) -> Result<Self> {
        let (connection, seen, read, told) = (None, None, Vec::new(), VecDeque::new());
        let mut live = Self { http, url, headers, connection, seen, read, told };
        live.connect().await?;
        // What happens from now on is told, whatever happens to the connection.
        while live.seen.is_none() {
            live.receive().await?;
        }
        Ok(live)
    }

    /// Connects, again and again while that may help.
    async fn connect(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            let refused = match self.try_connect().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            tries += 1;
            if tries == TRIES || !refused.may_retry {
                return Err(refused.cause);
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_connect(&mut self) -> Result<(), Refused> {
        let seen = self.seen.as_deref().map(|seen| ("last-event-id", seen));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(seen);
        let headers: Vec<_> = headers.collect();
        let answer = self.http.open(&self.url, &headers).await;
        let answer = answer.map_err(|cause| Refused { cause, may_retry: true })?;
        let status = answer.status();
        if status != StatusCode::OK {
            let cause = anyhow!("the stream of live events cannot be opened: {status}");
            return Err(Refused { cause, may_retry: status.is_server_error() });
        }
        self.read.clear();
        self.connection = Some(answer.into_body());
        Ok(())
    }

    /// Waits for the next thing to be told, however often the connection breaks meanwhile.
    ///
    /// # Errors
    ///
    /// It cannot be connected again.
    pub(crate) async fn next(&mut self) -> Result<Told> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            if self.receive().await.is_err() {
                self.connection = None;
                self.connect().await?;
            }
        }
    }

    /// Reads what has come.
    async fn receive(&mut self) -> Result<()> {
        let body = self.connection.as_mut().context("not connected")?;
        let frame = timeout(SILENCE, body.frame()).await.context("the stream is silent")?;
        let Ok(data) = frame.context("the stream has ended")??.into_data() else { return Ok(()) };
        if self.read.len() + data.len() > LIMIT {
            bail!("an event is too long");
        }
        self.read.extend_from_slice(&data);
        while let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.read.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event).into_owned();
            self.take(&event);
        }
        Ok(())
    }

    fn take(&mut self, event: &str) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let Some(id) = field("id") {
            self.seen = Some(id.to_owned());
        }
        let document: Value = field("data").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        match field("event") {
            Some("stream.reset") => self.told.push_back(Told::Missed),
            Some("stream.closed") if document["code"] == EXPIRED => self.told.push_back(Told::Expired),
            Some(kind) if kind.starts_with("order.") => self.told.push_back(Told::Event(document)),
            _ => {}
        }
    }
}

/// What has happened to an order: `confirmed` of `order.confirmed.v1`.
pub(crate) fn what(event: &Value) -> &str {
    event["type"].as_str().and_then(|kind| kind.split('.').nth(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::task::TaskTracker;

    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    /// Reads the head of a request, and answers with the parts one by one.
    async fn answer(mut stream: TcpStream, parts: &[&str]) -> String {
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        for part in parts {
            stream.write_all(part.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        String::from_utf8_lossy(&request[..length]).to_lowercase()
    }

    #[tokio::test]
    async fn a_broken_stream_goes_on_after_what_was_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/orders/stream", listener.local_addr().unwrap());
        let server = TaskTracker::new().spawn(async move {
            let ready = "retry: 2000\n\nid: 1-a\nevent: stream.ready\ndata: {}\n\n";
            let cut = "id: 1-b\nevent: order.placed.v1\ndata: {\"n\":1}\n\nid: 1-c\nevent: order.con";
            let rest = ":\n\nid: 1-c\nevent: order.confirmed.v1\nda";
            let last =
                "ta: {\"n\":2}\n\nevent: stream.reset\ndata: {}\n\nevent: stream.closed\ndata: {\"code\":4401}\n\n";
            let first = answer(listener.accept().await.unwrap().0, &[HEAD, ready, cut]).await;
            // It is away for a moment.
            let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            answer(listener.accept().await.unwrap().0, &[busy]).await;
            let (stream, _) = listener.accept().await.unwrap();
            (first, answer(stream, &[HEAD, rest, last]).await)
        });
        let headers = vec![("authorization".to_owned(), "Bearer t".to_owned())];
        let mut live = Live::open(Http::new(), url, headers).await.unwrap();
        let mut told = Vec::new();
        for _ in 0..4 {
            told.push(live.next().await.unwrap());
        }
        assert_eq!(told, [Told::Event(json!({"n": 1})), Told::Event(json!({"n": 2})), Told::Missed, Told::Expired]);
        let (first, second) = server.await.unwrap();
        assert!(first.contains("authorization: bearer t") && !first.contains("last-event-id"), "{first}");
        assert!(second.contains("last-event-id: 1-b"), "{second}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/orders/stream", listener.local_addr().unwrap());
        let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let server = async { answer(listener.accept().await.unwrap().0, &[refused]).await };
        let (opened, _) = tokio::join!(Live::open(Http::new(), url, Vec::new()), server);
        assert!(opened.unwrap_err().to_string().contains("401"));
    }
}
