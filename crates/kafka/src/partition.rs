//! One partition as its member reads it.

use std::collections::{HashMap, HashSet, VecDeque};

use messaging::partitioned::{Progress, WINDOW};
use uuid::Uuid;

/// Events of a partition by which a repetition is recognised.
const SEEN: usize = 1_024;
/// The bit that tells partitions of the topic of marked events from those of the other one.
const MARKED: u16 = 1 << 15;

/// The number of a topic's partition among all of a member.
pub(crate) fn place(is_marked: bool, partition: i32) -> u16 {
    let partition = u16::try_from(partition).unwrap_or_default() & !MARKED;
    if is_marked { partition | MARKED } else { partition }
}

/// Whether the partition is one of marked events.
pub(crate) fn is_marked(place: u16) -> bool {
    place & MARKED != 0
}

/// The topic's own number of it.
pub(crate) fn number(place: u16) -> i32 {
    i32::from(place & !MARKED)
}

/// A partition that is ours.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) progress: Progress,
    /// What the last member was trying alone when it died, until it has been read.
    pub(crate) culprit: Option<u64>,
    /// Whether it is being given up.
    pub(crate) is_leaving: bool,
    /// Whether reading has to begin again at [`Self::next`].
    pub(crate) must_seek: bool,
    pub(crate) room: Room,
    /// The offset that is read next.
    next: u64,
    /// An offset that came instead of the next one, once.
    instead: Option<u64>,
    seen: Seen,
    /// How often the progress has changed, and which of these changes is committed.
    changes: u64,
    committed: u64,
}

/// Whether what is read has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Nothing is read until there is room.
    Full,
    /// The client library has been told so.
    Paused,
}

/// What an offset is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The next one, or the next that there is.
    Next,
    /// It has to be asked for again what comes first.
    Unexpected,
    /// The log is another one, or shorter than what was read.
    Before,
    /// There is no room for it now.
    TooFar,
}

impl Partition {
    pub(crate) fn new(mut progress: Progress) -> Self {
        let culprit = progress.take_over();
        let next = progress.mark();
        Self {
            progress,
            culprit,
            is_leaving: false,
            must_seek: false,
            room: Room::Free,
            next,
            instead: None,
            seen: Seen::default(),
            changes: 1,
            committed: 0,
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Notes that an offset was read, where it is the next.
    pub(crate) fn read(&mut self, offset: u64, has_room: bool) -> Place {
        if offset < self.next {
            return Place::Before;
        }
        if offset > self.next && self.instead != Some(offset) {
            // Asked for again, the log says the same where nothing is in between (any more).
            (self.instead, self.must_seek) = (Some(offset), true);
            return Place::Unexpected;
        }
        if !has_room || offset >= self.progress.mark() + WINDOW {
            self.room = Room::Full;
            return Place::TooFar;
        }
        if offset > self.next {
            self.progress.skip(self.next, offset);
            self.change();
        }
        (self.next, self.instead) = (offset + 1, None);
        Place::Next
    }

    /// Reads everything again that is not settled.
    pub(crate) fn restart(&mut self) {
        (self.next, self.must_seek, self.instead) = (self.progress.mark(), true, None);
    }

    /// Begins anew: the log is another one.
    pub(crate) fn reset(&mut self, offset: u64) {
        self.progress = Progress::from(offset);
        (self.culprit, self.instead, self.next) = (None, None, offset);
        self.change();
    }

    /// Whether there is room again for what was too far.
    pub(crate) fn has_room(&self) -> bool {
        self.next < self.progress.mark() + WINDOW / 2
    }

    /// Whether the event at this offset was read before at another one.
    pub(crate) fn is_repeated(&mut self, id: Uuid, offset: u64) -> bool {
        self.seen.is_repeated(id, offset)
    }

    /// Notes that the progress has changed; returns which change that is.
    pub(crate) fn change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn is_committed(&self, change: u64) -> bool {
        self.committed >= change
    }

    pub(crate) fn commit(&mut self, change: u64) {
        self.committed = self.committed.max(change);
    }

    /// Whether a change is not committed yet.
    pub(crate) fn is_dirty(&self) -> bool {
        self.committed < self.changes
    }
}

/// The last events that were read of a partition.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    offsets: HashMap<Uuid, u64>,
    order: VecDeque<Uuid>,
}

impl Seen {
    /// Whether the event at this offset was read before at another one.
    pub(crate) fn is_repeated(&mut self, id: Uuid, offset: u64) -> bool {
        if let Some(first) = self.offsets.get(&id) {
            return *first < offset;
        }
        if self.order.len() == SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.offsets.remove(&oldest);
        }
        self.offsets.insert(id, offset);
        self.order.push_back(id);
        false
    }
}

/// What a group is given.
pub(crate) type Kinds = HashSet<String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_is_missing_is_asked_for_once() {
        let mut partition = Partition::new(Progress::from(4));
        assert_eq!(partition.read(4, true), Place::Next);
        assert_eq!(partition.read(7, true), Place::Unexpected);
        assert!(partition.must_seek && partition.next() == 5);
        assert_eq!(partition.read(7, true), Place::Next);
        assert_eq!((partition.next(), partition.progress.is_done(6)), (8, true));
        assert_eq!(partition.read(3, true), Place::Before);
    }

    #[test]
    fn nothing_is_read_where_there_is_no_room() {
        let mut partition = Partition::new(Progress::from(0));
        assert_eq!(partition.read(0, false), Place::TooFar);
        assert_eq!((partition.room, partition.next()), (Room::Full, 0));
        (0..WINDOW).for_each(|offset| assert_eq!(partition.read(offset, true), Place::Next));
        assert_eq!(partition.read(WINDOW, true), Place::TooFar);
        partition.progress.settle(0);
        assert_eq!(partition.read(WINDOW, true), Place::Next);
    }

    #[test]
    fn a_repetition_is_another_offset_with_the_same_event() {
        let mut partition = Partition::new(Progress::from(0));
        let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
        let seen = [(a, 1), (b, 2), (a, 3), (a, 1)].map(|(id, offset)| partition.is_repeated(id, offset));
        assert_eq!(seen, [false, false, true, false]);
    }

    #[test]
    fn a_place_names_topic_and_partition() {
        assert_eq!((is_marked(place(true, 3)), number(place(true, 3))), (true, 3));
        assert_eq!((is_marked(place(false, 3)), number(place(false, 3))), (false, 3));
    }
}
