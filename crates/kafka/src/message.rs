//! Events as records: the envelope in headers (`ce_`, binary mode), the data as the value, the aggregate's id as the key.

use bytes::Bytes;
use messaging::{Error, Event};
use rdkafka::message::{Header, Headers as _, Message, OwnedHeaders};

/// By the CloudEvents binding for Kafka.
const PREFIX: &str = "ce_";
/// How often an event has been replayed, and for which group alone it is.
const REPLAYS: &str = "replays";
const GROUP: &str = "replay-group";

/// A record as it was read.
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) offset: u64,
    /// What is in it, or why that is no event.
    pub(crate) event: Result<Event, Error>,
    pub(crate) replays: u32,
    /// The only group that it is for.
    pub(crate) group: Option<String>,
}

impl Received {
    /// Copies what the client library has.
    pub(crate) fn of(message: &impl Message) -> Self {
        let pairs = headers(message);
        let text = |name: &str| text(&pairs, name);
        let data = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        Self {
            partition: message.partition(),
            offset: u64::try_from(message.offset()).unwrap_or_default(),
            event: Event::from_headers(PREFIX, pairs.iter().copied(), data),
            replays: text(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or_default(),
            group: text(GROUP).map(str::to_owned),
        }
    }
}

/// The headers that are text.
pub(crate) fn headers(message: &impl Message) -> Vec<(&str, &str)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    (0..headers.count())
        .filter_map(|at| headers.try_get(at))
        .filter_map(|header| Some((header.key, std::str::from_utf8(header.value?).ok()?)))
        .collect()
}

/// One of them.
pub(crate) fn text<'a>(headers: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

/// The headers of an event.
pub(crate) fn of_event(event: &Event) -> OwnedHeaders {
    event.to_headers(PREFIX).iter().fold(OwnedHeaders::new(), |all, (name, value)| with(all, name, value))
}

/// The headers of an event that is replayed for a group.
pub(crate) fn of_replay(event: &Event, group: &str, replays: u32) -> OwnedHeaders {
    with(with(of_event(event), REPLAYS, &replays.to_string()), GROUP, group)
}

/// One more header.
pub(crate) fn with(headers: OwnedHeaders, name: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key: name, value: Some(value) })
}

/// Reads the event of a record with these headers.
pub(crate) fn event(headers: &[(&str, &str)], data: &[u8]) -> Result<Event, Error> {
    Event::from_headers(PREFIX, headers.iter().copied(), Bytes::copy_from_slice(data))
}
