//! Events as messages: the envelope in headers (`cloudEvents_`, binary mode), the data as the body.

use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use messaging::{Error, Event};

/// By the CloudEvents binding for AMQP.
const PREFIX: &str = "cloudEvents_";
/// How often an event has been replayed, and for which group alone it is.
const REPLAYS: &str = "replays";
const GROUP: &str = "replay-group";
/// The type of the message with which a stream begins, so that it is never empty.
const BEGIN: &str = "trireme.begin";
/// Where a message stands in its stream.
const OFFSET: &str = "x-stream-offset";
/// Written to disk.
const PERSISTENT: u8 = 2;

/// A message of a stream as it was read.
pub(crate) struct Received {
    pub(crate) offset: u64,
    /// By which a repetition is recognised.
    pub(crate) id: String,
    /// What is in it; nothing where it is only there to begin a stream.
    pub(crate) event: Option<Result<Event, Error>>,
    pub(crate) replays: u32,
    /// The only group that it is for.
    pub(crate) group: Option<String>,
}

impl Received {
    /// Reads a delivery; nothing where it comes from no stream.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let properties = &delivery.properties;
        let headers = Headers::of(properties);
        let offset = u64::try_from(headers.0?.inner().get(OFFSET)?.as_long_long_int()?).ok()?;
        let replays = headers.text(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or_default();
        let group = headers.text(GROUP).map(str::to_owned);
        let id = properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
        let begins = properties.kind().as_ref().is_some_and(|kind| kind.as_str() == BEGIN);
        let event = (!begins).then(|| headers.event(delivery.data.clone().into()));
        Some(Self { offset, id, event, replays, group })
    }
}

/// The headers that are text.
#[derive(Clone, Copy)]
pub(crate) struct Headers<'a>(Option<&'a FieldTable>);

impl<'a> Headers<'a> {
    pub(crate) fn of(properties: &'a BasicProperties) -> Self {
        Self(properties.headers().as_ref())
    }

    fn all(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let headers = self.0.into_iter().flat_map(|headers| headers.inner().iter());
        headers.filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.and_then(|headers| text(headers.inner().get(name)?))
    }

    /// Reads an event.
    pub(crate) fn event(self, data: Bytes) -> Result<Event, Error> {
        Event::from_headers(PREFIX, self.all(), data)
    }
}

fn text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A message that outlives the server, under an id.
pub(crate) fn persistent(id: &str) -> BasicProperties {
    BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(id.into())
}

/// The message with which a stream begins.
pub(crate) fn begin(id: &str) -> BasicProperties {
    persistent(id).with_type(BEGIN.into())
}

/// An event, with more headers.
pub(crate) fn of_event(event: &Event, id: &str, more: &[(&str, String)]) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in event.to_headers(PREFIX) {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    for (name, value) in more {
        headers.insert((*name).into(), AMQPValue::LongString(value.clone().into()));
    }
    persistent(id).with_headers(headers)
}

/// An event that is replayed for a group.
pub(crate) fn of_replay(event: &Event, group: &str, replays: u32) -> BasicProperties {
    let more = [(REPLAYS, replays.to_string()), (GROUP, group.to_owned())];
    of_event(event, &format!("{}.{group}.{replays}", event.id), &more)
}
