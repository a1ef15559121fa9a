//! Messages that are sent to a client as they come: as Server-Sent Events (HTML Living Standard, 9.2) or over a WebSocket
//! (RFC 6455), whichever it asks for.
//!
//! Such a client sends nothing. Whoever makes the messages decides when there is a heartbeat and when it is over;
//! here is what both ways of sending have in common with any other: that the client must take what it is sent in time, show
//! signs of life, and come from an origin that may. A protocol in which the client speaks, too, has a [`Socket`].

mod message;
mod origin;
mod socket;
mod sse;
mod turns;
mod websocket;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts as _, WebSocketUpgrade},
    response::{IntoResponse, Response},
};
use error::{Error, Problem};
use futures::Stream;
use http::{HeaderMap, header, request::Parts};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    message::{Close, Message, Pushed},
    socket::{Ended, Heard, Socket, Upgrade},
    sse::response as events,
    turns::Turn,
};
use crate::{Cors, Tasks};

/// Connections of which it is not known yet whose they are.
const MAX_STRANGERS: usize = 512;

/// How messages are pushed: on the process' tasks, to pages of the configured origins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Push {
    tracker: TaskTracker,
    stop: CancellationToken,
    origins: Arc<[String]>,
    strangers: Arc<Semaphore>,
}

/// The way that a client has asked for.
#[derive(Debug)]
pub struct Channel(Way);

#[derive(Debug)]
enum Way {
    Events,
    // Boxed: it is much larger than nothing.
    WebSocket(Box<Upgrade>),
}

impl Push {
    /// Pushes on these tasks, which are awaited at the end of the process; pages of other origins may have no WebSocket.
    pub fn new(tasks: &Tasks, cors: &Cors) -> Self {
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        Self { tracker: tasks.tracker(), stop: tasks.streams(), origins: cors.origins.as_slice().into(), strangers }
    }

    /// Reads from a request how it wants to be answered.
    ///
    /// # Errors
    ///
    /// A WebSocket is asked for in a way that is none (a response of 400 or 426), or by a page that may not (403).
    pub async fn channel(&self, parts: &mut Parts) -> Result<Channel, Response> {
        if !is_upgrade(&parts.headers) {
            return Ok(Channel(Way::Events));
        }
        let upgrade = self.upgrade(parts).await?;
        Ok(Channel(Way::WebSocket(Box::new(self.task(upgrade)))))
    }

    /// Reads a request for a WebSocket with this subprotocol (RFC 6455, 1.9), in which the client says who it is. Until
    /// then, which is [`Socket::admitted`], it is a stranger, of whom there are so many at once.
    ///
    /// # Errors
    ///
    /// The client does not offer it or asks in a way that is none (400 or 426), its page may not (403), or there are too
    /// many strangers (503).
    pub async fn socket(&self, parts: &mut Parts, protocol: &'static str) -> Result<Upgrade, Response> {
        let upgrade = self.upgrade(parts).await?.protocols([protocol]);
        if upgrade.selected_protocol().is_none() {
            let fault = format!("must offer {protocol}");
            return Err(Error::malformed_header("Sec-WebSocket-Protocol", &fault).into_response());
        }
        let permit = Arc::clone(&self.strangers).try_acquire_owned();
        let permit = permit.map_err(|_| Error::of(Problem::Overloaded).into_response())?;
        Ok(self.task(upgrade).of_stranger(permit))
    }

    /// What comes, until the time is over or the process ends, with heartbeats in between.
    pub fn turns<T, E>(&self, time: Duration, events: E) -> impl Stream<Item = Turn<T>> + use<T, E>
    where
        E: Stream<Item = T> + Send + 'static,
    {
        turns::turns(self.stop.clone(), time, events)
    }

    fn task(&self, upgrade: WebSocketUpgrade) -> Upgrade {
        Upgrade::new(upgrade, &self.tracker, self.stop.clone())
    }

    async fn upgrade(&self, parts: &mut Parts) -> Result<WebSocketUpgrade, Response> {
        origin::check(&parts.headers, &self.origins).map_err(Error::into_response)?;
        WebSocketUpgrade::from_request_parts(parts, &()).await.map_err(IntoResponse::into_response)
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Channel {
    /// How the client is sent its messages: `sse` or `websocket`, for a metric.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Way::Events => "sse",
            Way::WebSocket(..) => "websocket",
        }
    }

    /// Answers: the client is sent what comes, until that ends or the client goes.
    pub fn send(self, messages: impl Stream<Item = Pushed> + Send + 'static) -> Response {
        match self.0 {
            Way::Events => sse::response(messages),
            Way::WebSocket(upgrade) => websocket::response(*upgrade, messages),
        }
    }
}
