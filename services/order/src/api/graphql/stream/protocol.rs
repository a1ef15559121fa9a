//! What is said over a WebSocket: `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use async_graphql::{Request, Response, ServerError};
use axum::extract::ws::Utf8Bytes;
use chassis::push::Close;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The subprotocol.
pub(super) const NAME: &str = "graphql-transport-ws";

pub(super) const MALFORMED: Close = Close { code: 4400, reason: "what was said is not of the protocol" };
pub(super) const NOT_ACKNOWLEDGED: Close = Close { code: 4401, reason: "connection_init comes first" };
pub(super) const FORBIDDEN: Close = Close { code: 4403, reason: "connection_init has no good access token" };
pub(super) const EXPIRED: Close = Close { code: 4403, reason: "the access token has run out: connect with another" };
pub(super) const SILENT: Close = Close { code: 4408, reason: "connection_init did not come" };
pub(super) const DUPLICATE: Close = Close { code: 4409, reason: "there is an operation with this id" };
pub(super) const INITIALISED: Close = Close { code: 4429, reason: "connection_init came before" };
pub(super) const TOO_MANY: Close = Close { code: 4429, reason: "the account has too many streams open" };
pub(super) const UNAVAILABLE: Close = Close { code: 1013, reason: "try again later" };

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    ConnectionInit { payload: Option<Value> },
    // Boxed: it is much larger than the others.
    Subscribe { id: String, payload: Box<Request> },
    Complete { id: String },
    Ping {},
    Pong {},
}

impl Said {
    /// Reads a message.
    pub(super) fn read(text: Option<&str>) -> Result<Self, Close> {
        text.and_then(|text| serde_json::from_str(text).ok()).ok_or(MALFORMED)
    }
}

/// What a client is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told<'a> {
    ConnectionAck,
    Next { id: &'a str, payload: &'a Response },
    Error { id: &'a str, payload: &'a [ServerError] },
    Complete { id: &'a str },
    Pong,
}

impl Told<'_> {
    /// Writes a message.
    pub(super) fn text(&self) -> Utf8Bytes {
        serde_json::to_string(self).unwrap_or_default().into()
    }
}
