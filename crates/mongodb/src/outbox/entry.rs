//! How an event becomes an entry of a document's outbox and back.

use bytes::Bytes;
use clock::{from_micros, micros};
use messaging::{Carrier, Error, Event};
use mongodb_driver::bson::{self, Bson, spec::BinarySubtype};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// An event in a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: bson::Uuid,
    kind: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    key: String,
    time: i64,
    data: bson::Binary,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    canary: bool,
    #[serde(default)]
    pub(super) attempts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_at: Option<i64>,
}

impl From<&Event> for Entry {
    fn from(event: &Event) -> Self {
        Self {
            id: id(event.id),
            kind: event.kind.clone(),
            source: event.source.clone(),
            subject: event.subject.clone(),
            key: event.key.clone(),
            time: micros(event.time),
            data: bson::Binary { subtype: BinarySubtype::Generic, bytes: event.data.to_vec() },
            traceparent: event.carrier.traceparent.clone(),
            tracestate: event.carrier.tracestate.clone(),
            canary: event.carrier.canary,
            attempts: 0,
            reason: None,
            dead_at: None,
        }
    }
}

impl From<Entry> for Event {
    fn from(entry: Entry) -> Self {
        Self {
            id: Uuid::from_bytes(entry.id.bytes()),
            kind: entry.kind,
            source: entry.source,
            subject: entry.subject,
            key: entry.key,
            time: from_micros(entry.time),
            data: Bytes::from(entry.data.bytes),
            carrier: Carrier { traceparent: entry.traceparent, tracestate: entry.tracestate, canary: entry.canary },
        }
    }
}

impl Entry {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The same event, refused so many times, the last time for that reason, and then given up.
    pub(super) fn dead(self, attempts: u32, reason: &str, at: OffsetDateTime) -> Self {
        Self { attempts: i64::from(attempts), reason: Some(reason.to_owned()), dead_at: Some(micros(at)), ..self }
    }

    pub(super) fn bson(&self) -> Result<Bson, Error> {
        bson::serialize_to_bson(self).map_err(|error| Error::Malformed(error.to_string()))
    }
}

/// An id as it is stored: binary, subtype 4.
pub(super) fn id(id: Uuid) -> bson::Uuid {
    bson::Uuid::from_bytes(id.into_bytes())
}
