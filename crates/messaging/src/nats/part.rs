//! A part of a group while this member reads it.

use std::collections::{BTreeMap, HashSet};

use super::entry::{Entry, Tried};

/// How much further than the bucket says a part is read before its place is written down, though nothing of it was
/// settled: a part of marked events may have none for days.
const BEHIND: u64 = 4_096;

/// What this member knows of a part that it reads.
#[derive(Debug)]
pub(super) struct Part {
    /// Of the entry in the bucket.
    pub(super) revision: u64,
    /// The entry as it was when the part was taken.
    loaded: Entry,
    /// Everything up to this place of the stream was read.
    read: u64,
    /// Read and not settled.
    open: BTreeMap<u64, Tried>,
    /// Until the log's end at the time of taking a part whose last member died: the first event of each key may be
    /// what killed it.
    suspicion: Option<(u64, HashSet<String>)>,
    /// Given away as soon as nothing of it is in hand.
    pub(super) leaving: bool,
    /// Counts changes, and which of them is written.
    pub(super) changes: u64,
    pub(super) written: u64,
    /// The place that is written.
    kept: u64,
}

impl Part {
    pub(super) fn taken(loaded: Entry, revision: u64, died: bool, end: u64) -> Self {
        let suspicion = died.then(|| (end, HashSet::new()));
        let (read, open) = (0, BTreeMap::new());
        let kept = loaded.read.values().copied().min().unwrap_or_default();
        Self { revision, loaded, read, open, suspicion, leaving: false, changes: 0, written: 0, kept }
    }

    /// Whether the bucket should be told how far this part is read.
    pub(super) fn is_behind(&self) -> bool {
        self.read > self.kept + BEHIND
    }

    /// Notes that an entry was written.
    pub(super) fn wrote(&mut self, entry: &Entry, revision: u64, changes: u64) {
        (self.revision, self.written) = (revision, changes);
        self.kept = entry.read.values().copied().min().unwrap_or_default();
    }

    /// Where to read on.
    pub(super) fn next(&self, kinds: &[String]) -> u64 {
        if self.read > 0 { self.read + 1 } else { self.loaded.start(kinds) }
    }

    /// Notes that an event was read. Returns how it was tried before and whether it is suspect; nothing where it was
    /// settled before.
    pub(super) fn accept(&mut self, kind: &str, place: u64, key: &str, free: bool) -> Option<(Tried, bool)> {
        if place <= self.read {
            return None;
        }
        self.read = place;
        if !self.loaded.wants(kind, place) {
            return None;
        }
        let mut tried = self.loaded.open.get(&place).copied().unwrap_or_default();
        let suspect = self.suspects(place, key) && free;
        if suspect && !tried.held {
            tried.attempts += 1;
        }
        tried.held = false;
        self.open.insert(place, tried);
        Some((tried, suspect))
    }

    fn suspects(&mut self, place: u64, key: &str) -> bool {
        match &mut self.suspicion {
            Some((end, seen)) if place <= *end => seen.insert(key.to_owned()),
            Some(_) => {
                self.suspicion = None;
                false
            }
            None => false,
        }
    }

    /// Notes that the log was read up to there, also where it had nothing for this part.
    pub(super) fn passed(&mut self, place: u64) {
        self.read = self.read.max(place);
    }

    /// Settles an event; what is written from now on says so.
    pub(super) fn settle(&mut self, place: u64) {
        self.open.remove(&place);
    }

    /// Notes how often events have been tried.
    pub(super) fn note(&mut self, tried: impl Iterator<Item = (u64, Tried)>) {
        for (place, tried) in tried {
            // Not what has been settled and is about to be taken out of its lane.
            if let Some(known) = self.open.get_mut(&place) {
                *known = tried;
            }
        }
    }

    /// The entry as it has to be written.
    pub(super) fn entry(&self, owner: &str, kinds: &[String]) -> Entry {
        let mut open = self.open.clone();
        open.extend(self.loaded.open.range(self.read + 1..));
        let mut read = self.loaded.read.clone();
        for kind in kinds {
            let known = read.entry(kind.clone()).or_default();
            *known = self.read.max(*known);
        }
        Entry { owner: owner.to_owned(), read, open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_nothing_settles_is_written_now_and_then() {
        let kinds = ["a".to_owned()];
        let mut part = Part::taken(Entry::unread(["a"]), 1, false, 0);
        part.passed(BEHIND);
        assert!(!part.is_behind());
        part.passed(BEHIND + 1);
        assert!(part.is_behind());
        part.wrote(&part.entry("me", &kinds), 2, 0);
        assert!(!part.is_behind());
        assert_eq!(Part::taken(part.entry("me", &kinds), 2, true, 0).next(&kinds), BEHIND + 2);
    }

    #[test]
    fn what_a_dead_member_may_have_held_counts_as_tried() {
        let kinds = ["a".to_owned()];
        let mut part = Part::taken(Entry::unread(["a"]), 1, true, 5);
        assert_eq!(part.next(&kinds), 1);
        let tried = |attempts| Tried { attempts, held: false };
        assert_eq!(part.accept("a", 2, "x", true), Some((tried(1), true)));
        assert_eq!(part.accept("a", 3, "x", false), Some((tried(0), false)));
        assert_eq!(part.accept("a", 3, "x", false), None, "read before");
        assert_eq!(part.accept("a", 6, "y", true), Some((tried(0), false)), "published since");
        part.settle(3);
        part.note([(2, Tried { attempts: 2, held: true }), (3, tried(1))].into_iter());
        let entry = part.entry("me", &kinds);
        assert_eq!(entry.open, BTreeMap::from([(2, Tried { attempts: 2, held: true }), (6, tried(0))]));
        assert_eq!(entry.read["a"], 6);
        let mut next = Part::taken(entry, 2, true, 9);
        assert_eq!(next.next(&kinds), 2);
        assert_eq!(next.accept("a", 2, "x", true), Some((tried(2), true)));
        assert_eq!(next.accept("a", 3, "x", true), None, "settled");
    }
}
