//! The port to the place where a service keeps its events until they are published.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{Error, Event};

/// The relay's side of an outbox; the other side is the adapter's `record`, called in the store's transaction.
///
/// Its contract is [`crate::suite::outbox`].
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes or renews the lease and returns the oldest rows that are due, in order, never one whose key has an
    /// earlier row that waits for its next try.
    ///
    /// No rows while somebody else holds the lease.
    async fn claim(&self, owner: &str, limit: usize) -> Result<Claimed, Error>;

    /// Removes rows that have been published.
    ///
    /// # Errors
    /// [`Error::Stale`] when the lease has passed to another relay; nothing is removed.
    async fn confirm(&self, fence: i64, seqs: &[i64]) -> Result<(), Error>;

    /// Notes that a row was refused: it and its key wait until `next`, or it is dead and its key goes on.
    ///
    /// # Errors
    /// [`Error::Stale`] as above.
    async fn fail(&self, fence: i64, seq: i64, reason: &str, next: Option<OffsetDateTime>) -> Result<(), Error>;

    /// Gives the lease up, so that the next relay need not wait for its end.
    async fn release(&self, fence: i64) -> Result<(), Error>;

    /// How much waits.
    async fn depth(&self) -> Result<Depth, Error>;

    /// Has dead rows tried again; returns how many.
    async fn revive(&self) -> Result<u64, Error>;

    /// Forgets a bounded number of inbox rows that are too old to be needed; returns how many.
    async fn prune(&self) -> Result<u64, Error>;
}

/// What a relay may publish now.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Goes up with each change of owner; 0 when somebody else holds the lease.
    pub fence: i64,
    /// The rows, oldest first.
    pub rows: Vec<OutboxRow>,
}

/// An event in the outbox.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its place: rows of one key are published in this order.
    pub seq: i64,
    /// The event.
    pub event: Event,
    /// How often the bus has refused it.
    pub attempts: u32,
}

/// How much waits in an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Rows to be published, without the dead ones.
    pub count: u64,
    /// How old the oldest of them is.
    pub oldest: Option<Duration>,
    /// Rows that the bus refused for good; somebody has to look at them.
    pub dead: u64,
}

/// What recording effects found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// Nobody has applied the event before: commit.
    First,
    /// The event has been applied already: roll back and treat it as done.
    Duplicate,
}
