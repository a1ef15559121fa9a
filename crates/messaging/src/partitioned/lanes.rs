//! What a member has read, by key: only the first record of a key is handed out, and the others wait behind it.

mod alone;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Record,
    backlog::Backlog,
    record::{Entry, State},
};
use crate::{Delivery, Suspicion, Tag};

/// The records of one member. `H` is what the adapter settles a record by.
///
/// Nothing here asks the log anything: the adapter says what it was given, renews what waits, and tells the log what was
/// settled. All times are of the caller's clock.
#[derive(Debug)]
pub struct Lanes<H> {
    lease: Duration,
    by_key: HashMap<String, VecDeque<Entry<H>>>,
    /// By partition, keys whose first record can perhaps be handed out.
    ready: BTreeMap<u16, VecDeque<String>>,
    backlogs: BTreeMap<u16, Backlog<H>>,
    /// Keys by the fence of the delivery that has their first record.
    held: HashMap<i64, String>,
    counts: BTreeMap<u16, usize>,
    renewals: Vec<H>,
    fence: i64,
    /// The partition that was asked first the last time.
    turn: u16,
}

impl<H: Clone> Lanes<H> {
    /// Lanes of a member that keeps what it does not renew for `lease`.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            by_key: HashMap::new(),
            ready: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            held: HashMap::new(),
            counts: BTreeMap::new(),
            renewals: Vec::new(),
            fence: 0,
            turn: 0,
        }
    }

    /// Changes how long what is not renewed is kept.
    pub fn set_lease(&mut self, lease: Duration) {
        self.lease = lease;
    }

    /// How many records are here.
    pub fn len(&self) -> usize {
        self.counts.values().sum::<usize>() + self.backlogs.values().map(Backlog::len).sum::<usize>()
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records of a partition are here.
    pub fn of_partition(&self, partition: u16) -> usize {
        let waiting = self.backlogs.get(&partition).map_or(0, Backlog::len);
        self.counts.get(&partition).copied().unwrap_or_default() + waiting
    }

    /// About how many keys of a partition have a record that can be handed out.
    pub fn ready(&self, partition: u16) -> usize {
        self.ready.get(&partition).map_or(0, VecDeque::len)
    }

    /// The positions of a partition that the log counts as delivered and not settled for certain, as far as they are ours.
    pub fn unsettled(&self, partition: u16) -> BTreeSet<u64> {
        let unsettled = self.of(partition).filter(|entry| entry.is_unsettled());
        let waiting = self.backlogs.get(&partition).into_iter().flat_map(Backlog::positions);
        unsettled.map(|entry| entry.record.position).chain(waiting).collect()
    }

    /// How many records of a partition the log is to give us again.
    pub fn awaited(&self, partition: u16) -> usize {
        self.of(partition).filter(|entry| entry.state == State::Awaited).count()
    }

    fn of(&self, partition: u16) -> impl Iterator<Item = &Entry<H>> {
        self.by_key.values().flatten().filter(move |entry| entry.record.partition == partition)
    }

    /// Takes a record that was read; one that is here already was given to us again.
    pub fn push(&mut self, record: Record<H>, now: Instant) {
        if let Some(entry) = self.find(&record) {
            let in_hand = entry.is_in_hand(now);
            (entry.record.deliveries, entry.record.handle, entry.renewed) = (record.deliveries, record.handle, now);
            entry.doubtful = false;
            if let State::Settling { again, .. } = &mut entry.state {
                // The log was quicker than its answer to us.
                *again = true;
            }
            if !in_hand {
                let forgotten = std::mem::replace(&mut entry.state, State::Ready).fence();
                forgotten.map(|fence| self.held.remove(&fence));
                self.announce(&record.event.key);
            }
            return;
        }
        let entry = Entry::new(record, now);
        match self.backlogs.get_mut(&entry.record.partition) {
            Some(backlog) => backlog.push(entry),
            None => self.insert(entry, now),
        }
    }

    fn find(&mut self, record: &Record<H>) -> Option<&mut Entry<H>> {
        let lane = self.by_key.get_mut(&record.event.key)?;
        // Nearly always it is new, and behind all others. Only the first can be out of order: see `insert`.
        let before = |entry: Option<&Entry<H>>| entry.is_some_and(|entry| entry.record.position < record.position);
        if before(lane.front()) && before(lane.back()) {
            return None;
        }
        let same = |entry: &&mut Entry<H>| {
            (entry.record.position, entry.record.partition) == (record.position, record.partition)
        };
        lane.iter_mut().find(same)
    }

    /// Puts a record into its lane, by position, but never before one that is in hand.
    fn insert(&mut self, entry: Entry<H>, now: Instant) {
        *self.counts.entry(entry.record.partition).or_default() += 1;
        let key = entry.record.event.key.clone();
        let lane = self.by_key.entry(key.clone()).or_default();
        let mut at = lane.len();
        while at > 0 && lane[at - 1].record.position > entry.record.position && !lane[at - 1].is_in_hand(now) {
            at -= 1;
        }
        lane.insert(at, entry);
        if at == 0 {
            self.announce(&key);
        }
    }

    /// Notes that the first record of a key can perhaps be handed out.
    fn announce(&mut self, key: &str) {
        if let Some(first) = self.by_key.get(key).and_then(VecDeque::front)
            && first.state == State::Ready
        {
            self.ready.entry(first.record.partition).or_default().push_back(key.to_owned());
        }
    }

    /// Hands out first records, from all partitions in turn, each for at least three quarters of a lease: what has waited
    /// longer is to be renewed, see [`Self::renewals`].
    pub fn take(&mut self, max: usize, now: Instant) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let after = self.ready.range(self.turn.saturating_add(1)..).chain(self.ready.range(..=self.turn));
            let mut partitions = after.filter(|(_, keys)| !keys.is_empty()).map(|(partition, _)| *partition);
            let Some(partition) = partitions.next() else { break };
            drop(partitions);
            self.turn = partition;
            if let Some(key) = self.ready.get_mut(&partition).and_then(VecDeque::pop_front) {
                taken.extend(self.hand_out(&key, now));
            }
        }
        taken
    }

    fn hand_out(&mut self, key: &str, now: Instant) -> Option<Delivery> {
        let lease = self.lease;
        let first = self.by_key.get_mut(key)?.front_mut().filter(|first| first.state == State::Ready)?;
        if first.renewed + lease <= now {
            // Somebody else may have been given it.
            first.state = State::Awaited;
            return None;
        }
        if first.renewed + lease / 4 <= now {
            first.renewed = now;
            self.renewals.push(first.record.handle.clone());
        }
        self.fence += 1;
        // Not from now: the log counts from when it gave us the record.
        first.state = State::Held { fence: self.fence, until: first.renewed + lease };
        let tag = Tag { position: first.record.position.cast_signed(), fence: self.fence };
        let delivery = Delivery {
            event: first.record.event.clone(),
            attempt: first.record.deliveries,
            failures: first.failures,
            suspicion: first.suspicion,
            tag,
        };
        self.held.insert(self.fence, key.to_owned());
        Some(delivery)
    }

    /// The record of a delivery, while it is in the hands of whoever has that delivery.
    pub fn held(&self, tag: Tag, now: Instant) -> Option<&Record<H>> {
        let first =
            self.by_key.get(self.held.get(&tag.fence)?)?.iter().find(
                |entry| matches!(entry.state, State::Held { fence, until } if fence == tag.fence && until > now),
            )?;
        Some(&first.record)
    }

    fn entry(&mut self, tag: Tag) -> Option<&mut Entry<H>> {
        let lane = self.by_key.get_mut(self.held.get(&tag.fence)?)?;
        lane.iter_mut().find(|entry| entry.state.fence() == Some(tag.fence))
    }

    /// Renews the lease on a delivery; the log has to be told.
    pub fn extend(&mut self, tag: Tag, now: Instant) {
        let until = now + self.lease;
        if let Some(entry) = self.entry(tag) {
            entry.renewed = now;
            entry.state = State::Held { fence: tag.fence, until };
        }
    }

    /// Notes that the log is being told that a delivery is settled: from now on we do not count it. Returns the end of the
    /// lease: an answer that comes later does not say that nobody else was given it meanwhile.
    pub fn settle(&mut self, tag: Tag) -> Option<Instant> {
        let lease = self.lease;
        let entry = self.entry(tag)?;
        let until = entry.renewed + lease;
        entry.state = State::Settling { fence: tag.fence, until, again: false };
        Some(until)
    }

    /// Notes that the log did not say that it took a settlement: the delivery is in the same hands, for what is left of its
    /// lease.
    pub fn unsettle(&mut self, tag: Tag) {
        let lease = self.lease;
        if let Some(entry) = self.entry(tag) {
            entry.doubtful = true;
            entry.state = State::Held { fence: tag.fence, until: entry.renewed + lease };
        }
    }

    /// Takes the record of a delivery away; the next of its key is ready.
    pub fn remove(&mut self, tag: Tag) {
        let Some(key) = self.held.remove(&tag.fence) else { return };
        let Some(lane) = self.by_key.get_mut(&key) else { return };
        let Some(at) = lane.iter().position(|entry| entry.state.fence() == Some(tag.fence)) else { return };
        let Some(entry) = lane.remove(at) else { return };
        if lane.is_empty() {
            self.by_key.remove(&key);
        } else if at == 0 {
            self.announce(&key);
        }
        if let Some(count) = self.counts.get_mut(&entry.record.partition) {
            *count -= 1;
        }
    }

    /// Notes that handling a delivery failed and that the log gives its record again, later: its key waits until then.
    pub fn wait(&mut self, tag: Tag) {
        let Some(entry) = self.entry(tag) else { return };
        entry.failures += 1;
        let again = matches!(entry.state, State::Settling { again: true, .. });
        entry.state = if again { State::Ready } else { State::Awaited };
        if let Some(key) = self.held.remove(&tag.fence).filter(|_| again) {
            self.announce(&key);
        }
    }

    /// Takes a delivery back, as if it had not been handed out.
    pub fn release(&mut self, tag: Tag) {
        let Some(entry) = self.entry(tag) else { return };
        entry.state = State::Ready;
        if let Some(key) = self.held.remove(&tag.fence) {
            self.announce(&key);
        }
    }

    /// Holds back a partition from now on, because another member may have had it before: what was not handed out yet, and
    /// what is read. What the log may have given to that member is forgotten; it comes again.
    pub fn hold_back(&mut self, partition: u16, now: Instant) {
        let mut backlog = self.backlogs.remove(&partition).unwrap_or_else(Backlog::new);
        // Not only what is forgotten, but also what stands behind it, which must not overtake it.
        for mut entry in self.take_out(partition, |entry| !entry.is_in_hand(now)) {
            if entry.is_waiting() && entry.renewed + self.lease > now {
                entry.state = State::Ready;
                backlog.push(entry);
            }
        }
        self.backlogs.insert(partition, backlog);
    }

    /// Partitions with a delivery whose lease ended before that time and that the log has not given to us again. Perhaps it
    /// is settled and we were not told: hold the partition back and compare.
    pub fn overdue(&self, before: Instant) -> BTreeSet<u16> {
        let is_overdue = |entry: &&Entry<H>| match entry.state {
            State::Held { until, .. } | State::Settling { until, .. } => until <= before,
            State::Ready | State::Awaited | State::Isolated => false,
        };
        self.by_key.values().flatten().filter(is_overdue).map(|entry| entry.record.partition).collect()
    }

    /// Lets through what was held back: what the other member had in hand has come again. `tried` is what it was trying
    /// alone when it was last heard of.
    pub fn let_through(&mut self, partition: u16, tried: Option<u64>, now: Instant) {
        for mut entry in self.backlogs.remove(&partition).into_iter().flat_map(Backlog::into_entries) {
            if tried == Some(entry.record.position) {
                entry.suspicion = Suspicion::Culprit;
            }
            self.insert(entry, now);
        }
    }

    /// Gives a partition up: returns what nobody has in hand and the log has not been told of yet, by position. What is in
    /// hand stays until it is settled.
    pub fn revoke(&mut self, partition: u16, now: Instant) -> Vec<Record<H>> {
        let mut records: Vec<Record<H>> = self
            .backlogs
            .remove(&partition)
            .into_iter()
            .flat_map(Backlog::into_entries)
            .map(|entry| entry.record)
            .collect();
        let gone = self.take_out(partition, |entry| !entry.is_in_hand(now));
        records.extend(gone.into_iter().filter(Entry::is_waiting).map(|entry| entry.record));
        records.sort_by_key(|record| record.position);
        records
    }

    /// Takes entries of a partition out of their lanes.
    fn take_out(&mut self, partition: u16, goes: impl Fn(&Entry<H>) -> bool) -> Vec<Entry<H>> {
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        self.by_key.retain(|key, lane| {
            if !lane.iter().any(|entry| entry.record.partition == partition && goes(entry)) {
                return true;
            }
            let (out, stay) = std::mem::take(lane)
                .into_iter()
                .partition::<Vec<_>, _>(|entry| entry.record.partition == partition && goes(entry));
            gone.extend(out);
            *lane = stay.into();
            changed.push(key.clone());
            !lane.is_empty()
        });
        for entry in &gone {
            if let Some(fence) = entry.state.fence() {
                self.held.remove(&fence);
            }
        }
        if let Some(count) = self.counts.get_mut(&partition) {
            *count -= gone.len();
        }
        for key in changed {
            self.announce(&key);
        }
        gone
    }

    /// What has to be renewed because it was handed out.
    pub fn renewals(&mut self) -> Vec<H> {
        std::mem::take(&mut self.renewals)
    }

    /// What waits and was not renewed since `before`; it counts as renewed at `now`. What is in hand is renewed by
    /// whoever has it.
    pub fn renew(&mut self, before: Instant, now: Instant) -> Vec<H> {
        let lanes = self.by_key.values_mut().flatten().filter(|entry| entry.is_waiting());
        let waiting = lanes.chain(self.backlogs.values_mut().flat_map(Backlog::entries));
        let lease = self.lease;
        let due = waiting.filter(|entry| entry.renewed <= before && entry.renewed + lease > now);
        due.map(|entry| {
            entry.renewed = now;
            entry.record.handle.clone()
        })
        .collect()
    }
}
