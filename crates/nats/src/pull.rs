//! Asking the server for the records of a partition, as its one reader.

use std::time::Duration;

use async_nats::{HeaderValue, Message, StatusCode, header};
use bytes::Bytes;
use messaging::Error;
use serde::Serialize;
use tokio::time::Instant;

use super::names::READERS;

/// Records that are asked for at a time, and keys of a partition that may wait to be handed out before more are read
/// ahead. All that waits has to be renewed, so this is little more than what keeps handlers busy.
const BATCH: usize = 16;

/// One partition that a member reads.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What the server knows its one reader by; it is told with the first record.
    pub(crate) pin: Option<String>,
    /// Which request is under way, how many records it may still bring, and until when.
    request: u64,
    wanted: usize,
    until: Instant,
    /// When to ask whether all that a former reader had in hand has come again; nothing is handed out before.
    pub(crate) check_at: Option<Instant>,
}

/// Whose pin a record was delivered under.
pub(crate) fn pin(message: &Message) -> Option<&str> {
    // A published header of that name stands before the server's.
    message.headers.as_ref()?.get_last(header::NATS_PIN_ID).map(HeaderValue::as_str)
}

/// The body of a pull request (NATS ADR-13, ADR-42).
#[derive(Serialize)]
struct Request<'a> {
    batch: usize,
    /// Nanoseconds.
    expires: u64,
    group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

/// What is under way and waiting for a partition.
pub(crate) struct Load {
    /// Keys with a record that can be handed out.
    pub(crate) ready: usize,
    /// Whether there is room for more records at all.
    pub(crate) room: bool,
    /// Records that the server is to give again.
    pub(crate) awaited: usize,
}

/// What the server's answer without a record means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing: the request goes on, or another one does.
    Fine,
    /// The consumer or the stream may be gone.
    Missing,
    /// The server does not take the request.
    Refused(String),
}

impl Reading {
    pub(crate) fn new(now: Instant) -> Self {
        Self { pin: None, request: 0, wanted: 0, until: now, check_at: None }
    }

    /// Begins anew after the connection was: what was asked for on the old one is gone.
    pub(crate) fn reconnect(&mut self, now: Instant) {
        (self.wanted, self.until) = (0, now);
    }

    /// When to ask again at the latest. A reader that asks less often than once a lease loses its pin.
    pub(crate) fn due(&self) -> Instant {
        self.until
    }

    /// The next request, where one is due: its number and its body.
    pub(crate) fn next(&mut self, load: &Load, lease: Duration, now: Instant) -> Result<Option<(u64, Bytes)>, Error> {
        let room = load.room && load.ready < BATCH;
        let under_way = self.wanted > 0 && now < self.until;
        if under_way || !room && now < self.until {
            return Ok(None);
        }
        let expires = lease / 2;
        // Without room only what keeps the pin, and what is to be tried again.
        let batch = if room { BATCH } else { load.awaited + 1 };
        let nanos = u64::try_from(expires.as_nanos()).unwrap_or(u64::MAX);
        let request = Request { batch, expires: nanos, group: READERS, id: self.pin.as_deref() };
        let body = serde_json::to_vec(&request).map_err(Error::Encode)?;
        (self.request, self.wanted, self.until) = (self.request + 1, batch, now + expires);
        Ok(Some((self.request, body.into())))
    }

    /// Notes that a record came; says whether it is the first after somebody else may have read the partition.
    pub(crate) fn received(&mut self, message: &Message, now: Instant) -> bool {
        self.wanted = self.wanted.saturating_sub(1);
        let pin = pin(message);
        if self.pin.as_deref() == pin {
            return false;
        }
        self.pin = pin.map(str::to_owned);
        self.check_at = Some(now);
        true
    }

    /// Takes note of an answer without a record.
    pub(crate) fn status(&mut self, message: &Message, request: u64, lease: Duration, now: Instant) -> Status {
        let Some(status) = message.status else { return Status::Fine };
        if request != self.request {
            return Status::Fine;
        }
        if status == StatusCode::PIN_ID_MISMATCH {
            // Somebody else has it, or nobody: from now on we wait for our turn.
            (self.pin, self.wanted, self.until) = (None, 0, now);
            return Status::Fine;
        }
        let description = message.description.clone().unwrap_or_default();
        (self.wanted, self.until) = (0, now + lease / 20);
        match status {
            StatusCode::TIMEOUT => {
                self.until = now;
                Status::Fine
            }
            StatusCode::NO_RESPONDERS => Status::Missing,
            _ if description.contains("Deleted") => Status::Missing,
            _ if status == StatusCode::REQUEST_TERMINATED => Status::Fine,
            _ => Status::Refused(format!("{status} {description}")),
        }
    }
}
