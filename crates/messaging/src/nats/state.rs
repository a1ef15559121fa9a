//! What a member has in memory: its parts, and the events that it has read of them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::{
    entry::Entry,
    lanes::{Lanes, Waiting},
    part::Part,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) lanes: Lanes,
    pub(super) parts: BTreeMap<u16, Part>,
    /// Parts that may be ours: what the server said when we took them is not known.
    pub(super) taking: BTreeSet<u16>,
    pub(super) closed: bool,
    /// Counts the parts that were taken: who takes one anew begins anew to read.
    pub(super) taken: u64,
    /// When the last sign of life began that has arrived: nobody takes our parts for a lease from then on.
    pub(super) alive: Option<Instant>,
}

impl State {
    /// Closed, and nothing is in hand any more.
    pub(super) fn has_ended(&self) -> bool {
        self.closed && self.parts.is_empty()
    }

    /// Marks what is not in our share as to be left. Returns all that is to be left, and what is missing.
    pub(super) fn compare(&mut self, share: &BTreeSet<u16>) -> (Vec<u16>, Vec<u16>) {
        for (number, part) in &mut self.parts {
            if !part.leaving && (self.closed || !share.contains(number)) {
                part.leaving = true;
                part.note(self.lanes.tried(*number));
                self.lanes.drain(*number);
            }
        }
        let leaving = self.parts.iter().filter(|(_, part)| part.leaving).map(|(number, _)| *number).collect();
        let missing = share.union(&self.taking);
        let missing = missing.filter(|part| !self.closed && !self.parts.contains_key(part)).copied().collect();
        (leaving, missing)
    }

    /// Whether nothing is in hand of a part that is to be left. Nothing of it is handed out from then on, also no event
    /// whose time for another try has come.
    pub(super) fn put_to_rest(&mut self, number: u16) -> bool {
        let Some(part) = self.parts.get_mut(&number).filter(|part| part.leaving) else { return false };
        part.note(self.lanes.tried(number));
        self.lanes.drain(number);
        if self.lanes.in_hand(number, Instant::now()) > 0 {
            return false;
        }
        self.lanes.forget(number);
        true
    }

    /// The parts to read, how many were taken so far, and where to begin.
    pub(super) fn reading(&self, kinds: &[String]) -> (BTreeSet<u16>, u64, u64) {
        let reading = || self.parts.iter().filter(|(_, part)| !part.leaving);
        let start = reading().map(|(_, part)| part.next(kinds)).min().unwrap_or(1);
        (reading().map(|(number, _)| *number).collect(), self.taken, start)
    }

    pub(super) fn accept(&mut self, number: Option<u16>, place: u64, kind: &str, replays: u32, event: crate::Event) {
        let Some(number) = number else { return };
        let Some(part) = self.parts.get_mut(&number).filter(|part| !part.leaving) else { return };
        let free = self.lanes.is_free(number, &event.key);
        if let Some((tried, suspect)) = part.accept(kind, place, &event.key, free) {
            self.lanes.push(Waiting { part: number, place, attempts: tried.attempts, replays, suspect, event });
        }
    }

    pub(super) fn passed(&mut self, parts: &BTreeSet<u16>, place: u64) {
        for (number, part) in &mut self.parts {
            if parts.contains(number) && !part.leaving {
                part.passed(place);
            }
        }
    }

    /// Parts that were read much further than the bucket says: whoever takes them after a crash would read all that again.
    pub(super) fn behind(&self) -> Vec<u16> {
        self.parts.iter().filter(|(_, part)| !part.leaving && part.is_behind()).map(|(number, _)| *number).collect()
    }

    pub(super) fn snapshot(&mut self, number: u16, owner: &str, kinds: &[String]) -> Option<(Entry, u64, u64)> {
        let part = self.parts.get_mut(&number)?;
        part.note(self.lanes.tried(number));
        Some((part.entry(owner, kinds), part.revision, part.changes))
    }

    pub(super) fn forget(&mut self, part: u16) {
        self.parts.remove(&part);
        self.lanes.forget(part);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_part_that_is_left_hands_out_nothing_more() {
        let kinds = ["a.v1".to_owned()];
        let mut state = State::default();
        state.parts.insert(1, Part::taken(Entry::unread(["a.v1"]), 1, false, 0));
        for (place, key) in [(1, "fails"), (2, "works")] {
            let event = crate::Event::new("a.v1", "test", key, time::OffsetDateTime::UNIX_EPOCH, 1).unwrap();
            state.accept(Some(1), place, "a.v1", 0, event);
        }
        let (now, lease) = (Instant::now(), Duration::from_mins(1));
        let taken = state.lanes.take(9, now, lease);
        state.compare(&BTreeSet::new());
        // Tried again at once, while the other one is in hand.
        state.lanes.retry(taken[0].0.tag, now, false);
        assert!(!state.put_to_rest(1), "one is in hand");
        assert!(state.lanes.take(9, now, lease).is_empty());
        state.lanes.retry(taken[1].0.tag, now, false);
        assert!(state.put_to_rest(1));
        assert!(state.lanes.take(9, now, lease).is_empty());
        let open = state.snapshot(1, "", &kinds).unwrap().0.open;
        assert_eq!((open[&1].attempts, open[&2].attempts), (1, 1), "whoever has it next knows of the tries");
    }
}
