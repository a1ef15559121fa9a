//! What is pushed, written once for all who are sent it.

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

/// What stands before the JSON document of an event.
const DATA: &str = "\ndata: ";
/// What ends an event.
const END: &str = "\n\n";

/// A message: a JSON document, the id that a client resumes after, and its type. Cheap to clone.
///
/// It is kept as an event of an event stream, of which a WebSocket is sent the document.
///
/// ```
/// # use chassis::push::Message;
/// let message = Message::new("17", "order.placed.v1", &serde_json::json!({ "order_id": "o1" }));
/// assert_eq!(message.event(), "id: 17\nevent: order.placed.v1\ndata: {\"order_id\":\"o1\"}\n\n");
/// assert_eq!(message.text().as_str(), "{\"order_id\":\"o1\"}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Bytes);

impl Message {
    /// Writes a message. `id` and `kind` are one line each, of letters, digits and `-._`.
    pub fn new(id: &str, kind: &str, document: &serde_json::Value) -> Self {
        // Compact JSON has no line breaks.
        Self(format!("id: {id}\nevent: {kind}{DATA}{document}{END}").into())
    }

    /// The message as it was written before: see [`Bytes::from`].
    pub fn from_event(event: Bytes) -> Self {
        Self(event)
    }

    /// The message as an event of an event stream.
    pub fn event(&self) -> Bytes {
        self.0.clone()
    }

    /// The document alone.
    pub fn text(&self) -> Utf8Bytes {
        let begin =
            self.0.windows(DATA.len()).position(|bytes| bytes == DATA.as_bytes()).map_or(0, |at| at + DATA.len());
        let document = self.0.slice(begin..self.0.len().saturating_sub(END.len()).max(begin));
        Utf8Bytes::try_from(document).unwrap_or_default()
    }
}

/// What is next for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Something to be told.
    Message(Message),
    /// Nothing has happened for a while; the client shows that it is there. Where there is a message, it is sent for its id.
    Heartbeat(Option<Message>),
    /// The last that is sent.
    Close(Close),
}

/// Why a stream ends, and what the client may do: the close codes of RFC 6455, 7.4.1, and some of 4000 to 4999 which are an
/// application's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

impl Close {
    /// The process ends: connect again.
    pub const GOING_AWAY: Self = Self { code: 1001, reason: "shutting down: resume at another instance" };
    /// The client has sent something.
    pub(super) const UNEXPECTED: Self = Self { code: 1008, reason: "nothing is to be sent here" };
    /// The client sends more than anybody has to.
    pub(super) const TOO_MUCH: Self = Self { code: 1008, reason: "too many messages" };
    /// The client has sent something that is too large.
    pub(super) const TOO_LARGE: Self = Self { code: 1009, reason: "too large" };
    /// The client does not answer pings.
    pub(super) const SILENT: Self = Self { code: 4408, reason: "no answer to pings" };

    /// The same as a message, for clients that see no close codes.
    pub(super) fn event(self) -> Bytes {
        let document = serde_json::json!({ "type": "stream.closed", "code": self.code, "reason": self.reason });
        // Without an id: the client resumes after what it has seen.
        format!("event: stream.closed{DATA}{document}{END}").into()
    }
}
