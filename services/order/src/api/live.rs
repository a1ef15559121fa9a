//! Events of orders as those who watch are sent them: `CloudEvents` 1.0 in JSON (structured mode), with the cursor that a
//! client resumes after.

use bytes::Bytes;
use chassis::push::Message;
use messaging::{Cursor, Event};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{event::DomainEvent, ids::UserId};

/// The events that are shown.
pub const KINDS: &[&str] = &[
    DomainEvent::Placed.kind(),
    DomainEvent::Confirmed.kind(),
    DomainEvent::Rejected.kind(),
    DomainEvent::Fulfilled.kind(),
    DomainEvent::Cancelled.kind(),
    DomainEvent::Refunded.kind(),
];

/// What is read of an `order.*` event.
#[derive(Deserialize)]
struct OrderEvent {
    user_id: Uuid,
}

/// Writes an event once for all who are sent it.
///
/// # Errors
/// Its data does not fit its schema.
pub fn translate(event: &Event, cursor: &Cursor) -> Result<(UserId, Bytes), serde_json::Error> {
    let data: Value = event.decode()?;
    let user = OrderEvent::deserialize(&data)?.user_id;
    let cursor = cursor.to_string();
    let document = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.kind,
        "subject": event.key,
        "time": clock::rfc3339(event.time),
        "cursor": cursor,
        "data": data,
    });
    Ok((UserId(user), Message::new(&cursor, &event.kind, &document).event()))
}

/// What is read of an event that was written for those who watch.
#[derive(Deserialize)]
pub(super) struct Told {
    /// What is resumed after.
    pub(super) cursor: String,
    /// What happened.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// To which order.
    #[serde(rename = "subject")]
    pub(super) order: Uuid,
}

/// Reads an event that [`translate`] has written.
pub(super) fn read(event: &Bytes) -> Option<Told> {
    serde_json::from_str(&Message::from_event(event.clone()).text()).ok()
}
