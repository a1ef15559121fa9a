//! What a member has in memory: its partitions, what it has read of them, and what is in its handlers' hands.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use messaging::{
    Delivery, Error, Position, Tag,
    partitioned::{Lanes, Progress, Record},
};
use tokio::time::Instant;

use crate::{
    message::Received,
    names::SYSTEM,
    partition::{Kinds, Partition, Place, Room},
};

/// Events that a member reads ahead in all.
const AHEAD: usize = 4_096;
/// Positions that are committed as perhaps in hand before the first of them is.
const REACH: u64 = 256;

/// A delivery in a handler's hands.
#[derive(Debug)]
struct Hand {
    place: u16,
    position: u64,
    until: Instant,
}

/// See the module.
pub(super) struct State {
    pub(super) lease: Duration,
    pub(super) lanes: Lanes<()>,
    pub(super) partitions: BTreeMap<u16, Partition>,
    pub(super) is_closed: bool,
    /// By the fence of the delivery.
    hands: HashMap<i64, Hand>,
    /// What is tried again, by when.
    delayed: BTreeMap<(Instant, i64), Record<()>>,
    renewed: Instant,
}

impl State {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            lease,
            lanes: Lanes::new(lease),
            partitions: BTreeMap::new(),
            is_closed: false,
            hands: HashMap::new(),
            delayed: BTreeMap::new(),
            renewed: Instant::now(),
        }
    }

    /// Takes a partition over.
    pub(super) fn assign(&mut self, place: u16, progress: Progress, now: Instant) {
        let partition = Partition::new(progress);
        if partition.culprit.is_some() {
            self.lanes.hold_back(place, now);
        }
        self.partitions.insert(place, partition);
    }

    /// Stops reading partitions; says whether nothing of them is in anybody's hands.
    pub(super) fn give_up(&mut self, places: &[u16], now: Instant) -> bool {
        for place in places {
            if let Some(partition) = self.partitions.get_mut(place) {
                partition.is_leaving = true;
                self.lanes.revoke(*place, now);
            }
        }
        self.delayed.retain(|_, record| !places.contains(&record.partition));
        let are_free = !self.hands.values().any(|hand| places.contains(&hand.place));
        for place in places.iter().filter(|_| are_free) {
            if let Some(partition) = self.partitions.get_mut(place) {
                partition.progress.give_back();
                partition.change();
            }
        }
        are_free
    }

    /// Forgets partitions that are somebody else's.
    pub(super) fn forget(&mut self, places: &[u16], now: Instant) {
        for place in places {
            self.partitions.remove(place);
            self.lanes.revoke(*place, now);
        }
    }

    /// Whether there is nothing to wait for: everything is given back, or something is in hand.
    pub(super) fn may_leave(&self) -> bool {
        self.partitions.is_empty() || !self.hands.is_empty()
    }

    /// Takes a record that was read, for the group of this name.
    pub(super) fn receive(&mut self, place: u16, received: Received, kinds: &Kinds, group: &str) {
        let now = Instant::now();
        let has_room = self.lanes.len() < AHEAD;
        let Some(partition) = self.partitions.get_mut(&place) else { return };
        if partition.is_leaving || partition.room != Room::Free || self.is_closed {
            return;
        }
        let offset = received.offset;
        match partition.read(offset, has_room) {
            Place::Next => {}
            Place::Unexpected | Place::TooFar => return,
            Place::Before => {
                tracing::error!(
                    group,
                    place,
                    offset,
                    next = partition.next(),
                    "the log is another one: it is read from its start"
                );
                partition.reset(offset);
                self.lanes.revoke(place, now);
                partition.read(offset, true);
            }
        }
        if let Some(record) = wanted(partition, received, place, kinds, group) {
            self.lanes.push(record, now);
        }
        if let Some(culprit) = partition.culprit.take_if(|culprit| offset >= *culprit) {
            self.lanes.let_through(place, Some(culprit), now);
        }
    }

    /// Hands out what may be. Returns the partitions of which the broker has to know before.
    pub(super) fn take(&mut self, max: usize, now: Instant) -> (Vec<Delivery>, BTreeSet<u16>) {
        let (taken, mut unknown) = (self.lanes.take(max, now), BTreeSet::new());
        self.lanes.renewals();
        for delivery in &taken {
            let Some(place) = self.lanes.held(delivery.tag, now).map(|record| record.partition) else { continue };
            let position = delivery.tag.position.cast_unsigned();
            self.hands.insert(delivery.tag.fence, Hand { place, position, until: now + self.lease });
            if let Some(partition) = self.partitions.get_mut(&place)
                && !partition.progress.reaches(position)
            {
                partition.progress.reach(position + REACH);
                partition.change();
                unknown.insert(place);
            }
        }
        (taken, unknown)
    }

    /// The record of a delivery in hand.
    pub(super) fn held(&self, tag: Tag) -> Result<Record<()>, Error> {
        self.lanes.held(tag, Instant::now()).cloned().ok_or(Error::Lost)
    }

    /// The partition of a record; somebody else's may have it.
    pub(super) fn partition(&mut self, place: u16) -> Result<&mut Partition, Error> {
        self.partitions.get_mut(&place).ok_or(Error::Lost)
    }

    /// Renews a delivery from a moment on; says whether it was in hand until now.
    pub(super) fn extend(&mut self, tag: Tag, from: Instant) -> Result<(), Error> {
        let hand = self.hands.get_mut(&tag.fence).ok_or(Error::Lost)?;
        hand.until = from + self.lease;
        self.lanes.extend(tag, from);
        Ok(())
    }

    /// Takes a delivery out of its handler's hands.
    pub(super) fn drop_hand(&mut self, tag: Tag) {
        self.hands.remove(&tag.fence);
    }

    /// Has a record handed out again at a time.
    pub(super) fn delay(&mut self, tag: Tag, record: Record<()>, until: Instant) {
        self.delayed.insert((until, tag.fence), record);
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(due) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let record = due.remove();
            self.lanes.push(record, now);
        }
        let mut doubtful = self.expire(now);
        if now >= self.renewed + self.lease / 2 {
            // We have slept, and do not know what we hold.
            doubtful.extend(self.partitions.keys());
        }
        if now >= self.renewed + self.lease / 8 || !doubtful.is_empty() {
            self.lanes.renew(now, now);
            self.renewed = now;
        }
        for place in doubtful {
            self.restart(place, now);
        }
    }

    /// Takes back what is in hands whose lease is over; returns the partitions of what is not settled.
    fn expire(&mut self, now: Instant) -> BTreeSet<u16> {
        let mut doubtful = BTreeSet::new();
        for (fence, hand) in self.hands.extract_if(|_, hand| hand.until <= now) {
            let tag = Tag { position: hand.position.cast_signed(), fence };
            match self.partitions.get_mut(&hand.place) {
                Some(partition) if !partition.progress.is_done(hand.position) => {
                    partition.progress.count(hand.position);
                    partition.change();
                    doubtful.insert(hand.place);
                }
                _ => self.lanes.remove(tag),
            }
        }
        doubtful
    }

    /// Reads again what is not settled and not in hand.
    fn restart(&mut self, place: u16, now: Instant) {
        let Some(partition) = self.partitions.get_mut(&place).filter(|partition| !partition.is_leaving) else { return };
        partition.restart();
        self.lanes.revoke(place, now);
        self.delayed.retain(|_, record| record.partition != place);
        if partition.culprit.is_some() {
            self.lanes.hold_back(place, now);
        }
    }

    /// Whether there is room for what was too far ahead.
    pub(super) fn has_room(&self, partition: &Partition) -> bool {
        partition.has_room() && self.lanes.len() < AHEAD / 2
    }

    /// When something is due.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        let delayed = self.delayed.first_key_value().map(|((due, _), _)| *due);
        let expiring = self.hands.values().map(|hand| hand.until).min();
        let renewal = now + (self.lease / 8).min(Duration::from_secs(1));
        [delayed, expiring].into_iter().flatten().fold(renewal, Instant::min)
    }
}

/// The record of an event that the group is to be given; settles all others.
fn wanted(partition: &mut Partition, received: Received, place: u16, kinds: &Kinds, group: &str) -> Option<Record<()>> {
    let Received { offset, event, replays, group: only, .. } = received;
    if partition.progress.is_done(offset) {
        return None;
    }
    let event = match event {
        Ok(event) => {
            let is_ours = kinds.contains(&event.kind) && only.is_none_or(|only| only == group);
            let is_new = replays > 0 || !partition.is_repeated(event.id, offset);
            Some(event).filter(|_| is_ours && is_new)
        }
        Err(error) => {
            messaging::unreadable(SYSTEM, Position { partition: place.into(), offset }, &error);
            None
        }
    };
    let Some(event) = event else {
        partition.progress.settle(offset);
        partition.change();
        return None;
    };
    let deliveries = partition.progress.next_delivery(offset);
    Some(Record { partition: place, position: offset, deliveries, replays, event, handle: () })
}
