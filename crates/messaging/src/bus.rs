//! The port to a message broker. Its contract is [`crate::suite::bus`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Event, Tail};

/// Dead letters that a group may have, where the broker does not bound those of all: with so many its events are tried on.
pub const DEAD_LETTERS: u16 = 10_000;

/// A durable log of events with consumer groups.
#[async_trait]
pub trait Bus: Send + Sync {
    /// The broker, as telemetry names it (`messaging.system`).
    fn system(&self) -> &'static str;

    /// Publishes events; returns when they are stored durably.
    ///
    /// An event whose id is known already is not stored again. Events of one key keep the order of the slice.
    ///
    /// # Errors
    /// [`Error::Rejected`] when an event can never be taken. On any error some of the events may have been stored:
    /// publish them all again.
    async fn publish(&self, events: &[Event]) -> Result<(), Error>;

    /// Joins a consumer group, made by its first member and for ever.
    ///
    /// A new group, or a kind that is new to its group, begins with the oldest event that is kept. All members of a
    /// group ask for the same kinds; while they differ (during an update), each may be given the kinds of all.
    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error>;

    /// Reads what is published of these kinds, in every process that asks, and without a group.
    ///
    /// Begins so many events, of any kind, before the end of the log, or where the log begins. Replays of dead letters do not
    /// come: they are for their group.
    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn Tail>, Error>;

    /// The dead letters of one group or of all, oldest first.
    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error>;

    /// Takes the dead letters that a group has of these events, and has of them become what is said. Returns of how many
    /// events there was one: of two who resolve it at once, one has it.
    ///
    /// On an error some may have been resolved.
    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error>;

    /// How many events wait for the group or are in its hands; dead letters do not count. What was published within the
    /// last moments may not count yet.
    async fn depth(&self, group: &str) -> Result<u64, Error>;

    /// How many dead letters the group has. Asked again and again, and so without reading them where that can be.
    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error>;

    /// Asks the broker whether it answers, for the health check.
    async fn ping(&self) -> Result<(), Error>;

    /// Closes the connections, for the end of a process.
    async fn close(&self);
}

/// One member of a consumer group.
#[async_trait]
pub trait Subscription: Send + Sync {
    /// Waits until there is something to do and takes at most `max` deliveries, each leased for at least half of
    /// [`Self::lease`].
    ///
    /// Never hands out an event while an earlier one of its key is unsettled in the group, whoever holds it.
    /// Cancel safe: what a dropped call had taken comes back when its lease runs out, or at once.
    /// Returns nothing only after [`Self::close`].
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error>;

    /// Settles a delivery as done.
    ///
    /// # Errors
    /// [`Error::Lost`] when the lease ran out and somebody else has the delivery, here and in the next four.
    async fn ack(&self, delivery: &Delivery) -> Result<(), Error>;

    /// Has it delivered again after a while; later events of its key wait behind it.
    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error>;

    /// Has it delivered again after a while as [`Self::retry`], without counting this delivery where all of them count as tries.
    async fn postpone(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.retry(delivery, after).await
    }

    /// Gives it back untried: it is delivered again at once, here or elsewhere, and this delivery does not count.
    async fn release(&self, delivery: &Delivery) -> Result<(), Error>;

    /// Gives it back to be tried alone, with [`Suspicion::Alone`]: it has been delivered oftener than anything should be,
    /// and it is not known whether members die of it. A bus that says [`Suspicion::Culprit`] of all is never asked.
    async fn isolate(&self, delivery: &Delivery) -> Result<(), Error> {
        self.release(delivery).await
    }

    /// Renews its lease.
    async fn extend(&self, delivery: &Delivery) -> Result<(), Error>;

    /// Puts it aside with a reason; the next event of its key may come.
    ///
    /// # Errors
    /// [`Error::NoRoom`], or [`Error::Lost`].
    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error>;

    /// How long a delivery stays this member's without [`Self::extend`].
    fn lease(&self) -> Duration;

    /// Ends fetching: a call that waits returns at once. Deliveries in hand can still be settled.
    async fn close(&self);
}

/// An event in the hands of one member of a group.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// How often it has been delivered to the group, this time included: at least as often as it was tried.
    pub attempt: u32,
    /// How often handling it has failed for certain, as far as the bus knows: never oftener than it was tried.
    pub failures: u32,
    /// Whether members may have died of it.
    pub suspicion: Suspicion,
    /// What the bus knows this delivery by.
    pub tag: Tag,
}

/// Whether a delivery may be what its members die of.
///
/// A bus that counts what members have read counts more than what they have tried. So an event with too many deliveries
/// is tried alone once, and the bus remembers which; only if that member dies as well is it given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing is known.
    #[default]
    None,
    /// It is being tried alone: see [`Subscription::isolate`].
    Alone,
    /// Each of its deliveries was a try, or it was being tried alone when its last member died.
    Culprit,
}

/// Names one delivery to the bus that made it; means nothing to anybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// Where the event stands.
    pub position: i64,
    /// Which delivery of it this is.
    pub fence: i64,
}

/// An event that a group could not handle.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The consumer group.
    pub group: String,
    /// The event as it was published.
    pub event: Event,
    /// How often it was tried since it was published or replayed.
    pub attempts: u32,
    /// How often it has been replayed.
    pub replays: u32,
    /// Why it was given up.
    pub reason: Reason,
    /// When it was given up.
    pub dead_at: OffsetDateTime,
}

/// What becomes of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Its group (and no other) is given the event again, after what waits for the same key.
    Replay,
    /// Its group is never given the event again.
    Discard,
}

/// Why an event was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The kind of cause.
    pub cause: Cause,
    /// The error with its causes, for a human.
    pub detail: String,
}

/// The kinds of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The handler said that trying again is useless.
    Permanent,
    /// It failed as often as the policy allows.
    Exhausted,
    /// It panicked as often as the policy allows.
    Panicked,
    /// It ran out of time as often as the policy allows.
    TimedOut,
    /// It never came to an end: each process that took it died or hung.
    Deadly,
    /// No member of the group handles its kind.
    Unhandled,
    /// The bus cannot read it.
    Unreadable,
    /// A cause that only another version of this program knows.
    Unknown,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::Permanent,
        Self::Exhausted,
        Self::Panicked,
        Self::TimedOut,
        Self::Deadly,
        Self::Unhandled,
        Self::Unreadable,
    ];

    /// The name that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Deadly => "deadly",
            Self::Unhandled => "unhandled",
            Self::Unreadable => "unreadable",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
