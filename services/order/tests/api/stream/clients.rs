//! Clients of both kinds.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use axum::body::{Body, Bytes};
use futures::{SinkExt as _, Stream, StreamExt as _};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use tower::ServiceExt as _;

use crate::app::{Person, TestApp};

const DEADLINE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(100);

/// What a client was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) document: Value,
}

impl Told {
    pub(crate) fn number(&self) -> u64 {
        self.document["data"]["number"].as_u64().unwrap_or_else(|| panic!("{self:?}"))
    }

    fn is_heartbeat(&self) -> bool {
        self.kind == "stream.heartbeat"
    }
}

/// A client of Server-Sent Events.
pub(crate) struct Events {
    body: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    read: String,
    /// What the stream has said first.
    pub(crate) first: Told,
}

impl Events {
    pub(crate) async fn request(app: &TestApp, person: &Person, path: &str, seen: Option<&str>) -> Response<Body> {
        let mut request = Request::get(path);
        if !person.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", person.token));
        }
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(crate) async fn open(app: &TestApp, person: &Person, path: &str) -> Self {
        Self::resume(app, person, path, None).await
    }

    pub(crate) async fn resume(app: &TestApp, person: &Person, path: &str, seen: Option<&str>) -> Self {
        let response = Self::request(app, person, path, seen).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = Box::pin(response.into_body().into_data_stream());
        let first = Told { id: String::new(), kind: String::new(), document: Value::Null };
        let mut events = Self { body, read: String::new(), first };
        events.first = events.next().await;
        events
    }

    /// The next event, which has to come.
    pub(crate) async fn next(&mut self) -> Told {
        timeout(DEADLINE, self.event()).await.expect("an event in time").expect("an event before the end")
    }

    /// Nothing comes.
    pub(crate) async fn quiet(&mut self) {
        if let Ok(told) = timeout(QUIET, self.event()).await {
            panic!("nothing was to come, but {told:?}");
        }
    }

    pub(crate) async fn ended(&mut self) -> bool {
        timeout(DEADLINE, self.event()).await.expect("an end in time").is_none()
    }

    async fn event(&mut self) -> Option<Told> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let (told, rest) = (parse(event), rest.to_owned());
                self.read = rest;
                if let Some(told) = told.filter(|told| !told.is_heartbeat()) {
                    return Some(told);
                }
            }
            self.read.push_str(std::str::from_utf8(&self.body.next().await?.unwrap()).unwrap());
        }
    }
}

/// Reads an event of the event stream; `None` where it is none to be told.
fn parse(event: &str) -> Option<Told> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let document = serde_json::from_str(field("data")?).unwrap();
    Some(Told { id: field("id").unwrap_or_default().to_owned(), kind: field("event")?.to_owned(), document })
}

/// A client of a WebSocket.
pub(crate) struct Socket(pub(super) WebSocketStream<TcpStream>);

impl Socket {
    /// Connects; the headers are added to those that have to be there.
    pub(crate) async fn connect(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await?;
        Ok(Self(tokio_tungstenite::client_async(request, stream).await?.0))
    }

    /// The next document; `None` where the connection is broken.
    pub(crate) async fn try_next(&mut self) -> Option<Value> {
        loop {
            match timeout(DEADLINE, self.0.next()).await.expect("a message in time")?.ok()? {
                Message::Text(text) => {
                    let document: Value = serde_json::from_str(&text).unwrap();
                    if document["type"] != "stream.heartbeat" {
                        return Some(document);
                    }
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub(crate) async fn open(address: SocketAddr, person: &Person, path: &str) -> Self {
        let headers = [("authorization", format!("Bearer {}", person.token))];
        Self::connect(address, path, &headers).await.unwrap()
    }

    /// The next document, or the code that the socket is closed with.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(DEADLINE, self.0.next()).await.expect("a message in time").expect("a close before the end") {
                Ok(Message::Text(text)) => {
                    let document: Value = serde_json::from_str(&text).unwrap();
                    if document["type"] != "stream.heartbeat" {
                        return Ok(document);
                    }
                }
                Ok(Message::Close(frame)) => return Err(frame.unwrap().code.into()),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }
}
