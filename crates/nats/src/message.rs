//! Events as messages: the envelope in headers (`ce-`, binary mode), the data as the body.

use async_nats::{
    HeaderMap, HeaderValue, Message,
    jetstream::{self, Context},
};
use bytes::Bytes;

use messaging::{Error, Event};

/// By the CloudEvents binding for NATS.
const PREFIX: &str = "ce-";
/// By which the server recognises a repetition.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// How often a message has been replayed.
const REPLAYS: &str = "replays";

/// The headers of an event under an id for the server to remember.
pub(crate) fn headers(event: &Event, id: &str) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in event.to_headers(PREFIX) {
        headers.insert(name, value_of(event, &value)?);
    }
    headers.insert(MESSAGE_ID, id);
    Ok(headers)
}

fn value_of(event: &Event, value: &str) -> Result<HeaderValue, Error> {
    let refused = || Error::Rejected { id: event.id, reason: "a line break in a header".to_owned() };
    value.parse().map_err(|_| refused())
}

/// Adds how often the event has been replayed.
pub(crate) fn set_replays(headers: &mut HeaderMap, replays: u32) {
    headers.insert(REPLAYS, replays.to_string());
}

/// Reads [`set_replays`]; 0 where there is nothing.
pub(crate) fn replays(headers: Option<&HeaderMap>) -> u32 {
    text(headers, REPLAYS).and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// A header's text.
pub(crate) fn text<'a>(headers: Option<&'a HeaderMap>, name: &str) -> Option<&'a str> {
    headers?.get(name).map(HeaderValue::as_str)
}

/// Reads a message.
pub(crate) fn event(headers: Option<&HeaderMap>, data: Bytes) -> Result<Event, Error> {
    let headers = headers.ok_or_else(|| Error::Malformed("no headers".to_owned()))?;
    let pairs = headers.iter().filter_map(|(name, values)| Some((name.as_ref(), values.first()?.as_str())));
    Event::from_headers(PREFIX, pairs, data)
}

/// Where a message stands in the stream, and how often its consumer has delivered it.
pub(crate) fn delivered(context: &Context, message: &Message) -> Option<(u64, u32)> {
    let message = jetstream::Message { message: message.clone(), context: context.clone() };
    let info = message.info().ok()?;
    Some((info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX)))
}
