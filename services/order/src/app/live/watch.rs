//! One who watches.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use messaging::Cursor;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Live, Owner, Queued, UserId};

/// How often a watcher is told up to where it has been told everything. Gateways close what is silent for 11 s.
const HEARTBEAT: Duration = Duration::from_secs(8);

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// First of all: what follows comes after this cursor.
    Ready(Cursor),
    /// Events are missing before this cursor: begin anew from a snapshot that is taken after this was told.
    Reset(Cursor),
    /// An event.
    Event(Bytes),
    /// Nothing waits; everything up to the cursor has been told, where it is known.
    Heartbeat(Option<Cursor>),
    /// The last thing that is told.
    End(End),
}

/// Why a watcher is told nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It took less than there was.
    TooSlow,
    /// Its time is over.
    Expired,
    /// The process ends.
    Stopping,
}

/// Leave to watch, until it is dropped: one of the streams of an account.
#[derive(Debug)]
pub struct Permit {
    live: Live,
    account: UserId,
}

impl Permit {
    pub(super) fn new(live: Live, account: UserId) -> Self {
        Self { live, account }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.live.state().watchers.leave(self.account);
        self.live.0.metrics.closed();
    }
}

/// A queue that is filled, until this is dropped.
#[derive(Debug)]
pub(super) struct Joined {
    permit: Arc<Permit>,
    owner: Owner,
    number: u64,
}

impl Joined {
    pub(super) fn new(permit: Arc<Permit>, owner: Owner, number: u64) -> Self {
        Self { permit, owner, number }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.permit.live.state().watchers.forget(self.owner, self.number);
    }
}

/// One who watches orders.
#[derive(Debug)]
pub struct Watch {
    joined: Joined,
    queue: mpsc::Receiver<Queued>,
    first: Option<Watched>,
    missed: VecDeque<Bytes>,
    heartbeat: Instant,
    ends: Instant,
}

impl Watch {
    pub(super) fn new(
        joined: Joined,
        queue: mpsc::Receiver<Queued>,
        first: Option<Watched>,
        missed: Vec<Bytes>,
        ends: Instant,
    ) -> Self {
        Self { joined, queue, first, missed: missed.into(), heartbeat: Instant::now() + HEARTBEAT, ends }
    }

    /// Waits for the next thing to be told. Nothing comes after [`Watched::End`].
    pub async fn next(&mut self) -> Watched {
        if let Some(first) = self.first.take() {
            return first;
        }
        let (stop, now) = (self.joined.permit.live.0.stop.clone(), Instant::now());
        if stop.is_cancelled() {
            return Watched::End(End::Stopping);
        }
        if let Some(due) = self.due(now) {
            return due;
        }
        if let Some(payload) = self.missed.pop_front() {
            return Watched::Event(payload);
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => Watched::End(End::Stopping),
            queued = self.queue.recv() => match queued {
                Some(Queued::Event(payload)) => Watched::Event(payload),
                Some(Queued::Reset(cursor)) => Watched::Reset(cursor),
                None => Watched::End(End::TooSlow),
            },
            () = sleep_until(self.heartbeat.min(self.ends)) => {
                self.due(Instant::now()).unwrap_or(Watched::Heartbeat(None))
            }
        }
    }

    /// What the time has come for, if anything.
    fn due(&mut self, now: Instant) -> Option<Watched> {
        if self.ends <= now {
            return Some(Watched::End(End::Expired));
        }
        if self.heartbeat > now {
            return None;
        }
        self.heartbeat = now + HEARTBEAT;
        let told = if self.missed.is_empty() { self.joined.permit.live.checkpoint(&self.queue) } else { None };
        Some(Watched::Heartbeat(told))
    }
}
