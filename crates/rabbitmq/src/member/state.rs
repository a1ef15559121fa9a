//! What a member has in memory. Nothing here asks the server anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use messaging::{
    Delivery, Error, Tag,
    partitioned::{Lanes, Progress, Record},
};
use tokio::{sync::oneshot, time::Instant};

/// The member, with what all its partitions have read. A record is settled by the epoch of who has read it.
pub(super) struct State {
    pub(super) lanes: Lanes<u64>,
    /// What is ours.
    pub(super) held: BTreeMap<u16, Partition>,
    /// What is tried again, by when that is due and which delivery that was.
    again: BTreeMap<(Instant, i64), Record<u64>>,
    /// Who waits for something here, and when somebody last did.
    pub(super) callers: usize,
    pub(super) called: Instant,
    pub(super) closed: bool,
    /// Members of version 2 that are there; nothing before the server was asked.
    pub(super) canaries: Option<u32>,
    /// The partition of which it is being written down what is tried alone next: the readers of two write at the same time,
    /// and what is tried beside something else may be blamed for what that does.
    choosing: Option<u16>,
    /// Partitions whose life has not ended.
    pub(super) alive: usize,
    pub(super) failure: Option<Error>,
}

/// A partition that is ours.
pub(super) struct Partition {
    pub(super) epoch: u64,
    pub(super) progress: Progress,
    /// Offsets that are in hand.
    pub(super) out: BTreeSet<u64>,
    /// What was settled, and is not stored yet.
    pub(super) settlements: Vec<Settlement>,
    /// What is being stored.
    pub(super) storing: Vec<Settlement>,
    /// Whether somebody else is to have it.
    pub(super) given_up: bool,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done,
    Again(Instant),
}

/// What is to be stored, and who waits for that.
pub(super) struct Settlement {
    tag: Tag,
    outcome: Outcome,
    record: Record<u64>,
    stored: oneshot::Sender<()>,
}

impl Partition {
    pub(super) fn new(epoch: u64, progress: Progress) -> Self {
        let (out, settlements, storing) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { epoch, progress, out, settlements, storing, given_up: false }
    }

    /// How many positions are settled, and stored as that.
    pub(super) fn settled(&self) -> u64 {
        let is_done = |settlement: &&Settlement| matches!(settlement.outcome, Outcome::Done);
        let on_the_way = self.settlements.iter().chain(&self.storing).filter(is_done).count();
        self.progress.settled().saturating_sub(on_the_way as u64)
    }
}

impl State {
    pub(super) fn new(lease: Duration, partitions: usize) -> Self {
        Self {
            lanes: Lanes::new(lease),
            held: BTreeMap::new(),
            again: BTreeMap::new(),
            callers: 0,
            called: Instant::now(),
            closed: false,
            canaries: None,
            choosing: None,
            alive: partitions,
            failure: None,
        }
    }

    /// Whether the member takes part: one that nobody has called for a lease does not.
    pub(super) fn is_there(&self, lease: Duration) -> bool {
        !self.closed && (self.callers > 0 || self.called.elapsed() < lease)
    }

    /// Whether no partition is waited for, but those of which something is in hand.
    pub(super) fn is_left(&self) -> bool {
        self.alive == 0 || self.held.values().any(|partition| !partition.out.is_empty())
    }

    /// Hands out.
    pub(super) fn take(&mut self, max: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let deliveries = self.lanes.take(max, now);
        // Nobody but us can be given what is ours: there is nothing to tell.
        drop(self.lanes.renewals());
        for delivery in &deliveries {
            if let Some(record) = self.lanes.held(delivery.tag, now)
                && let Some(partition) = self.held.get_mut(&record.partition)
            {
                partition.out.insert(record.position);
            }
        }
        deliveries
    }

    /// The record of a delivery that is in the caller's hands and of a partition that is still ours.
    pub(super) fn held(&mut self, tag: Tag) -> Result<Record<u64>, Error> {
        let record = self.lanes.held(tag, Instant::now()).ok_or(Error::Lost)?.clone();
        if self.held.get(&record.partition).is_some_and(|partition| partition.epoch == record.handle) {
            return Ok(record);
        }
        self.lanes.remove(tag);
        Err(Error::Lost)
    }

    /// Notes what became of a delivery; returns what tells that it is stored.
    pub(super) fn settle(&mut self, tag: Tag, outcome: Outcome) -> Result<(u16, oneshot::Receiver<()>), Error> {
        let record = self.held(tag)?;
        let (number, position) = (record.partition, record.position);
        let partition = self.held.get_mut(&number).ok_or(Error::Lost)?;
        partition.out.remove(&position);
        match outcome {
            Outcome::Done => partition.progress.settle(position),
            Outcome::Again(_) => partition.progress.count(position),
        }
        let (stored, wait) = oneshot::channel();
        partition.settlements.push(Settlement { tag, outcome, record, stored });
        self.lanes.settle(tag);
        Ok((number, wait))
    }

    /// Takes a delivery back in one way or another.
    pub(super) fn take_back(&mut self, tag: Tag, how: fn(&mut Self, Tag)) -> Result<(), Error> {
        let record = self.held(tag)?;
        how(self, tag);
        if let Some(partition) = self.held.get_mut(&record.partition) {
            partition.out.remove(&record.position);
            partition.progress.end_alone(record.position);
        }
        Ok(())
    }

    /// What was being stored is stored.
    pub(super) fn stored(&mut self, number: u16) {
        let Some(partition) = self.held.get_mut(&number) else { return };
        for settlement in std::mem::take(&mut partition.storing) {
            match settlement.outcome {
                Outcome::Done => self.lanes.remove(settlement.tag),
                Outcome::Again(due) => {
                    self.lanes.wait(settlement.tag);
                    let mut record = settlement.record;
                    record.deliveries += 1;
                    self.again.insert((due, settlement.tag.fence), record);
                }
            }
            let _ = settlement.stored.send(()); // whoever waited may be gone
        }
    }

    /// The position that is to be tried alone next, where it is of this partition. It is let through by [`Self::try_alone`],
    /// once that is written down; until then nothing else is chosen.
    pub(super) fn choose_alone(&mut self, number: u16, now: Instant) -> Option<u64> {
        if self.choosing.is_some() {
            return None;
        }
        let (_, position) = self.lanes.next_alone(now).filter(|(of, _)| *of == number)?;
        self.held.get_mut(&number)?.progress.try_alone(position);
        self.choosing = Some(number);
        Some(position)
    }

    /// Lets through what was chosen of a partition.
    pub(super) fn try_alone(&mut self, number: u16, position: u64) {
        self.lanes.try_alone(number, position);
        self.choosing = None;
    }

    /// Lets what is due be tried again; returns when the next is.
    pub(super) fn retry_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some(entry) = self.again.first_entry().filter(|entry| entry.key().0 <= now) {
            self.lanes.push(entry.remove(), now);
        }
        self.again.first_key_value().map(|((due, _), _)| *due)
    }

    /// Hands out nothing more of a partition. Says whether something of it is in hand or being stored still.
    pub(super) fn retire(&mut self, number: u16) -> bool {
        self.lanes.revoke(number, Instant::now());
        self.again.retain(|_, record| record.partition != number);
        let open = |partition: &Partition| !partition.settlements.is_empty() || !partition.storing.is_empty();
        self.lanes.of_partition(number) > 0 || self.held.get(&number).is_some_and(open)
    }

    /// Forgets a partition that is not ours any more. What is in hand of it cannot be settled.
    pub(super) fn lose(&mut self, number: u16) {
        if let Some(partition) = self.held.remove(&number) {
            for settlement in partition.settlements.into_iter().chain(partition.storing) {
                self.lanes.remove(settlement.tag);
            }
        }
        self.lanes.revoke(number, Instant::now());
        self.again.retain(|_, record| record.partition != number);
        self.choosing = self.choosing.filter(|choosing| *choosing != number);
    }

    /// Renews what waits, and gives up partitions of which somebody has kept something too long.
    pub(super) fn renew(&mut self, lease: Duration) -> Vec<u16> {
        let now = Instant::now();
        drop(self.lanes.renew(now.checked_sub(lease / 2).unwrap_or(now), now));
        let overdue = self.lanes.overdue(now);
        for number in &overdue {
            match self.held.get_mut(number) {
                Some(partition) if partition.storing.is_empty() && partition.settlements.is_empty() => {
                    partition.given_up = true;
                }
                Some(_) => {}
                None => drop(self.lanes.revoke(*number, now)),
            }
        }
        overdue.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use messaging::Event;

    use super::*;

    #[test]
    fn two_readers_do_not_choose_at_the_same_time_what_is_tried_alone() {
        let now = Instant::now();
        let mut state = State::new(Duration::from_secs(9), 2);
        for partition in 0..2 {
            state.held.insert(partition, Partition::new(1, Progress::from(0)));
            let event = Event::new("thing.happened.v1", "test", partition, clock::system().now(), ()).unwrap();
            // The one that is chosen second has the smaller position, and would come first if it were asked for.
            let position = u64::from(2 - partition);
            state.lanes.push(Record { partition, position, deliveries: 9, replays: 0, event, handle: 1 }, now);
        }
        let mut suspects = state.take(9);
        assert_eq!(suspects.len(), 2);
        suspects.sort_by_key(|delivery| delivery.tag.position);
        let (second, first) = (&suspects[0], &suspects[1]);
        state.take_back(first.tag, |state, tag| state.lanes.isolate(tag)).unwrap();
        assert_eq!(state.choose_alone(0, now), Some(2));
        state.take_back(second.tag, |state, tag| state.lanes.isolate(tag)).unwrap();
        assert_eq!(state.choose_alone(1, now), None, "the other one is being written down");
        state.try_alone(0, 2);
        assert_eq!(state.choose_alone(1, now), None, "the other one is being tried");
        state.lose(0);
        assert_eq!(state.choose_alone(1, now), Some(1));
        state.lose(1);
        assert_eq!(state.choosing, None, "whoever loses a partition chooses nothing of it");
    }
}
