//! A service on free ports, and a client that sees the bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::{App, Config, Cors, Health, Limits, Listen, Listeners, Shutdown, Tasks};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

/// How long one response may take.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn config() -> Config {
    let listen = || Listen { host: "127.0.0.1".to_owned(), port: 0 };
    Config {
        http: listen(),
        grpc: listen(),
        admin: listen(),
        shutdown: Shutdown { lame_duck: Duration::ZERO, deadline: Duration::from_secs(10) },
        limits: Limits {
            max_connections: 100,
            max_in_flight: 100,
            request_timeout: Duration::from_secs(5),
            trusted_proxies: 0,
        },
        cors: Cors::default(),
    }
}

pub(crate) fn app(http: Router) -> App {
    App {
        name: "test",
        version: "1.2.3",
        commit: "abc",
        http,
        grpc: Routes::default(),
        admin: chassis::log_filter(),
        descriptors: &[],
        health: Health::new(),
        tasks: Tasks::new(),
        on_drained: Vec::new(),
    }
}

/// A route that says when it was entered and waits until it may leave.
pub(crate) fn held() -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (e, l) = (Arc::clone(&entered), Arc::clone(&leave));
    let wait = async move || {
        e.add_permits(1);
        let _ = l.acquire().await;
        "done"
    };
    (Router::new().route("/held", get(wait)).route("/", get(async || "fine")), entered, leave)
}

/// A running service.
pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub(crate) async fn of(http: Router) -> Self {
        Self::start(config(), app(http)).await
    }

    pub(crate) async fn start(config: Config, app: App) -> Self {
        let listeners = Listeners::bind(&config).await.unwrap();
        let [http, grpc, admin] = listeners.addresses().unwrap();
        let stop = CancellationToken::new();
        let signal = stop.clone().cancelled_owned();
        let end = TaskTracker::new().spawn(chassis::serve_until(listeners, config, app, signal));
        Self { http, grpc, admin, stop, end }
    }

    /// What the signal does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(Duration::from_secs(20), self.end).await.unwrap().unwrap()
    }
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem document, after looking at what each one has.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        let instance = document["instance"].as_str().unwrap();
        let trace = instance.strip_prefix("urn:trace:").unwrap();
        assert!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{instance}");
        document
    }
}

/// A connection on which requests are written by hand.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// Writes a request without a body.
    pub(crate) async fn send(&mut self, line: &str, headers: &str) {
        self.write(format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).await;
    }

    /// Reads a response; `None` where the connection ends before one.
    pub(crate) async fn read(&mut self) -> Option<Response> {
        self.response(true).await
    }

    /// Reads a response that has a length but no body.
    pub(crate) async fn read_head(&mut self) -> Option<Response> {
        self.response(false).await
    }

    async fn response(&mut self, body: bool) -> Option<Response> {
        tokio::time::timeout(TIMEOUT, self.take(body)).await.expect("no response in time")
    }

    async fn take(&mut self, body: bool) -> Option<Response> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = self.chunks().await?;
            return Some(response);
        }
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        if body {
            response.body = vec![0; length];
            self.0.read_exact(&mut response.body).await.ok()?;
        }
        Some(response)
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.0.read_u8().await.ok()?);
            }
            let length = usize::from_str_radix(String::from_utf8(line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.0.read_exact(&mut chunk).await.ok()?;
            if length == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    /// Whether the peer has closed, within the time.
    pub(crate) async fn closes_within(&mut self, time: Duration) -> bool {
        matches!(tokio::time::timeout(time, self.0.read_u8()).await, Ok(Err(_)))
    }
}

/// Asks on a connection of its own.
pub(crate) async fn request(address: SocketAddr, line: &str, headers: &str) -> Response {
    let mut raw = Raw::to(address).await;
    raw.send(line, headers).await;
    if line.starts_with("HEAD") { raw.read_head().await.unwrap() } else { raw.read().await.unwrap() }
}

/// Asks with a body.
pub(crate) async fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Option<Response> {
    let mut raw = Raw::to(address).await;
    raw.send(&format!("POST {path}"), &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())).await;
    // A server that answers early may stop reading.
    let _ = raw.0.write_all(body).await;
    raw.read().await
}
