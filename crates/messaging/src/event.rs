//! The event as the code sees it: a `CloudEvents` 1.0 envelope around JSON data.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use telemetry::Carrier;
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

use crate::Error;

/// Something that has happened, told to whoever listens.
///
/// ```
/// # use messaging::Event;
/// let time = time::OffsetDateTime::UNIX_EPOCH;
/// let event = Event::new("order.confirmed.v1", "order", "0197-17", time, serde_json::json!({"total": 1299}))?;
/// assert_eq!(event.decode::<serde_json::Value>()?["total"], 1299);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique for ever: what the bus and the inbox recognise a repetition by. Version 7, made once with the event; that of
    /// a [task](Self::task) is its maker's.
    pub id: Uuid,
    /// What happened, with the major version of the data's schema: `order.confirmed.v1`.
    pub kind: String,
    /// The service that says so.
    pub source: String,
    /// What it is about, where that is not the key.
    pub subject: Option<String>,
    /// The aggregate's id: events of one key arrive in the order they were recorded in.
    pub key: String,
    /// When it happened.
    pub time: OffsetDateTime,
    /// The data, JSON.
    pub data: Bytes,
    /// The trace and the canary mark of whatever made it happen.
    pub carrier: Carrier,
}

impl Event {
    /// Makes an event of the current trace.
    ///
    /// # Errors
    /// [`Error::Encode`] when the data cannot be written as JSON.
    #[expect(clippy::needless_pass_by_value, reason = "keys are ids, which are copied, or text")]
    pub fn new(
        kind: &str,
        source: &str,
        key: impl ToString,
        time: OffsetDateTime,
        data: impl Serialize,
    ) -> Result<Self, Error> {
        let seconds = u64::try_from(time.unix_timestamp()).unwrap_or_default();
        Ok(Self {
            id: Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, time.nanosecond())),
            kind: kind.to_owned(),
            source: source.to_owned(),
            subject: None,
            key: key.to_string(),
            time,
            data: serde_json::to_vec(&data).map_err(Error::Encode)?.into(),
            carrier: Carrier::current(),
        })
    }

    /// Makes a task of the current trace: work for one member of one group, whichever is free.
    ///
    /// Its key is its id, so that no task waits for another. The id is best derived from what made the work necessary:
    /// recorded again, it is the same task.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn task(kind: &str, source: &str, id: Uuid, time: OffsetDateTime, data: impl Serialize) -> Result<Self, Error> {
        Ok(Self { id, ..Self::new(kind, source, id, time, data)? })
    }

    /// Sets the subject.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Reads the data; members that `T` does not know should be ignored, so that producers can add some.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.data)
    }
}

/// Proof that a consumer has applied an event, stored with what it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The consumer group.
    pub consumer: &'static str,
    /// The event that was applied.
    pub event_id: Uuid,
}

/// What a store writes in the same transaction as the state: the outbox rows and the inbox row.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The events to be published, in order.
    pub events: Vec<Event>,
    /// The event that caused all this, if one did.
    pub receipt: Option<Receipt>,
}

impl Effects {
    /// Effects of a command: events and no receipt.
    pub fn of(events: Vec<Event>) -> Self {
        Self { events, receipt: None }
    }

    /// The same effects, caused by the event of the receipt.
    pub fn caused_by(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(receipt);
        self
    }
}
