//! One record of a partition, as a member keeps it until it is settled.

use tokio::time::Instant;

use crate::{Event, Suspicion};

/// A record of a partitioned log.
#[derive(Clone, Debug)]
pub struct Record<H> {
    /// The partition that it was read from.
    pub partition: u16,
    /// Where it stands in the log: rises within a partition.
    pub position: u64,
    /// How often the group has been given it, this time included.
    pub deliveries: u32,
    /// How often it has been replayed from the dead letters.
    pub replays: u32,
    /// The event in it.
    pub event: Event,
    /// What the adapter settles it by.
    pub handle: H,
}

/// A record in memory.
#[derive(Debug)]
pub(super) struct Entry<H> {
    pub(super) record: Record<H>,
    /// Since when the log has counted it as ours: at most a lease later it may be given to somebody else.
    pub(super) renewed: Instant,
    pub(super) suspicion: Suspicion,
    /// How often its handler has failed here. The log counts what was read, and cannot take that back.
    pub(super) failures: u32,
    /// Whether a settlement of it got no answer: the log may count it as settled.
    pub(super) doubtful: bool,
    pub(super) state: State,
}

/// What is to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is handed out when it is the first of its key.
    Ready,
    /// The log gives it to us again, later, or to another member.
    Awaited,
    /// It waits to be tried alone.
    Isolated,
    /// A handler has it until its lease ends.
    Held {
        /// Which delivery that is.
        fence: i64,
        until: Instant,
    },
    /// A handler has settled it, and the log has not confirmed that yet. Whoever waited for that may be gone.
    Settling {
        /// Which delivery that was.
        fence: i64,
        until: Instant,
        /// Whether the log has given it to us again meanwhile.
        again: bool,
    },
}

impl State {
    /// Which delivery has it.
    pub(super) fn fence(self) -> Option<i64> {
        match self {
            Self::Held { fence, .. } | Self::Settling { fence, .. } => Some(fence),
            Self::Ready | Self::Awaited | Self::Isolated => None,
        }
    }
}

impl<H> Entry<H> {
    pub(super) fn new(record: Record<H>, renewed: Instant) -> Self {
        Self { record, renewed, suspicion: Suspicion::None, failures: 0, doubtful: false, state: State::Ready }
    }

    /// Whether a handler has it.
    pub(super) fn is_in_hand(&self, now: Instant) -> bool {
        match self.state {
            State::Held { until, .. } | State::Settling { until, .. } => until > now,
            State::Ready | State::Awaited | State::Isolated => false,
        }
    }

    /// Whether the log counts it as delivered and not settled, for certain.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.doubtful && !matches!(self.state, State::Settling { .. })
    }

    /// Whether it waits here, to be handed out by us.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Ready | State::Isolated)
    }
}
