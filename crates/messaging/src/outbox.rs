//! The port to the outbox, in which a service keeps its events until they are published.

use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Event};

/// Fewer rows than this in a batch are all that were due: then a relay waits to be woken, and does not ask at once whether there
/// are more.
pub const MORE: usize = 8;

/// Inbox rows that [`Outbox::prune`] forgets at a time.
pub const PRUNED: u32 = 1_000;

/// The relay's side of an outbox; the other side is the adapter's `record`, called in the store's transaction.
///
/// Keys are spread over partitions, and of several relays each leases some of them: a store with one writer has one
/// partition.
/// Leases and pauses are measured by the store's clock where several machines share the store. One that ends beyond
/// [`clock::HORIZON`] was made under a clock that was wrong, and is over.
/// Its contract is [`crate::suite::outbox`].
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes or renews the owner's share of the leases and returns the oldest rows of its partitions that are due, in order
    /// per key, never one whose key has an earlier row that waits for its next try.
    ///
    /// No rows while others hold all the leases; fewer than [`MORE`] only where no more are due.
    /// A row that cannot be read is dead at once, with the cause as its reason, and its key goes on.
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error>;

    /// Removes rows that have been published.
    ///
    /// # Errors
    /// [`Error::Stale`] when a lease has passed to another relay; the rows of that lease are not removed.
    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error>;

    /// Notes that a row was refused: it and its key wait for `pause`, or it is dead and its key
    /// goes on.
    ///
    /// # Errors
    /// [`Error::Stale`] as above.
    async fn fail(&self, row: &OutboxRow, reason: &str, pause: Option<Duration>) -> Result<(), Error>;

    /// Gives the owner's leases up, so that the next relay need not wait for their end.
    async fn release(&self, owner: &str) -> Result<(), Error>;

    /// Tells the relays of other processes that there is something new; this process' own relay is poked by [`Wake`].
    ///
    /// It may get lost: relays poll now and then.
    ///
    /// [`Wake`]: crate::Wake
    async fn announce(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Waits until another process announces something, or until that cannot be known any longer.
    async fn announced(&self) {
        std::future::pending::<()>().await;
    }

    /// How much waits.
    async fn depth(&self) -> Result<Depth, Error>;

    /// The dead rows, at most `limit` of them, those that died first at the beginning.
    async fn dead(&self, limit: usize) -> Result<Vec<DeadRow>, Error>;

    /// Has the dead row of one event, or all dead rows, tried again; returns how many.
    async fn revive(&self, event: Option<Uuid>) -> Result<u64, Error>;

    /// Forgets at most [`PRUNED`] inbox rows that are too old to be needed; returns how many.
    async fn prune(&self) -> Result<u64, Error>;
}

/// An event in the outbox.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its sequence: rows of one key are published in this order.
    pub seq: i64,
    /// The partition that its key belongs to.
    pub partition: i16,
    /// Of the lease on that partition: goes up with each change of owner.
    pub fence: i64,
    /// The event.
    pub event: Event,
    /// How often the bus has refused it.
    pub attempts: u32,
}

/// A row that is not offered to the bus any more.
#[derive(Clone, Debug)]
pub struct DeadRow {
    /// The event; none where the row cannot be read, as the reason says then.
    pub event: Option<Event>,
    /// How often the bus has refused it.
    pub attempts: u32,
    /// Why it was refused the last time, or cannot be read.
    pub reason: String,
    /// When it was given up; 1970 where that was not stored.
    pub dead_at: OffsetDateTime,
}

/// How much waits in an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Rows to be published, without the dead ones.
    pub count: u64,
    /// How old the oldest of them is.
    pub oldest: Option<Duration>,
    /// Rows that the bus refused for good or that cannot be read; an operator has to decide on them.
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
