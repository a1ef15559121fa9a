//! Messages that are sent to a client as they come: as Server-Sent Events (HTML Living Standard, 9.2) or over a WebSocket
//! (RFC 6455), whichever it asks for.
//!
//! A client takes and sends nothing. Whoever makes the messages decides when there is a heartbeat and when it is over;
//! here is what both ways of sending have in common with any other: that the client must take what it is sent in time, show
//! signs of life, and come from an origin that may.

mod message;
mod origin;
mod sse;
mod websocket;

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts as _, WebSocketUpgrade},
    response::{IntoResponse, Response},
};
use error::Error;
use futures::Stream;
use http::{HeaderValue, header, request::Parts};
use tokio_util::task::TaskTracker;

pub use self::message::{Close, Message, Pushed};
use crate::{Cors, Tasks};

/// How messages are pushed: on the process' tasks, to pages of the configured origins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Push {
    tracker: TaskTracker,
    origins: Arc<[String]>,
}

/// The way that a client has asked for.
#[derive(Debug)]
pub struct Channel(Way);

#[derive(Debug)]
enum Way {
    Events,
    // Boxed: it is much larger than nothing.
    WebSocket(Box<WebSocketUpgrade>, TaskTracker),
}

impl Push {
    /// Pushes on these tasks, which are awaited at the end of the process; pages of other origins may have no WebSocket.
    pub fn new(tasks: &Tasks, cors: &Cors) -> Self {
        Self { tracker: tasks.tracker(), origins: cors.origins.as_slice().into() }
    }

    /// Reads from a request how it wants to be answered.
    ///
    /// # Errors
    ///
    /// A WebSocket is asked for in a way that is none (a response of 400 or 426), or by a page that may not (403).
    pub async fn channel(&self, parts: &mut Parts) -> Result<Channel, Response> {
        let websocket = HeaderValue::from_static("websocket");
        let upgrade = parts
            .headers
            .get(header::UPGRADE)
            .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(websocket.as_bytes()));
        if !upgrade {
            return Ok(Channel(Way::Events));
        }
        origin::check(&parts.headers, &self.origins).map_err(Error::into_response)?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
        let upgrade = upgrade.map_err(IntoResponse::into_response)?;
        Ok(Channel(Way::WebSocket(Box::new(upgrade), self.tracker.clone())))
    }
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
            Way::WebSocket(upgrade, tracker) => websocket::response(*upgrade, &tracker, messages),
        }
    }
}
