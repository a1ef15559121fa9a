//! What may have killed a member is set aside, and tried with nothing else in hand.

use tokio::time::Instant;

use super::Lanes;
use crate::{
    Suspicion, Tag,
    partitioned::record::{Entry, State},
};

impl<H: Clone> Lanes<H> {
    /// Sets a delivery aside until it is tried alone; its key waits.
    pub fn isolate(&mut self, tag: Tag) {
        if let Some(entry) = self.entry(tag) {
            entry.state = State::Isolated;
            self.held.remove(&tag.fence);
        }
    }

    /// The partition and position of the record that is to be tried alone next, once the log knows of that: the oldest of
    /// those that were set aside, and nothing while another one is being tried.
    pub fn next_alone(&self, now: Instant) -> Option<(u16, u64)> {
        let entries = || self.by_key.values().flatten();
        let alone = |entry: &Entry<H>| {
            entry.suspicion == Suspicion::Alone && (entry.state == State::Ready || entry.is_in_hand(now))
        };
        let isolated = entries().filter(|entry| entry.state == State::Isolated);
        let next = isolated.map(|entry| (entry.record.position, entry.record.partition)).min()?;
        (!entries().any(alone)).then_some((next.1, next.0))
    }

    /// Lets the record of [`Self::next_alone`] through.
    pub fn try_alone(&mut self, partition: u16, position: u64) {
        let is = |entry: &&mut Entry<H>| {
            (entry.record.partition, entry.record.position, entry.state) == (partition, position, State::Isolated)
        };
        let Some(entry) = self.by_key.values_mut().flatten().find(is) else { return };
        (entry.state, entry.suspicion) = (State::Ready, Suspicion::Alone);
        let key = entry.record.event.key.clone();
        self.announce(&key);
    }
}
