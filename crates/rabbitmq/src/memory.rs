//! The ids of the last messages of a partition: by these a repetition is recognised, and one log told from another.

use std::collections::{HashSet, VecDeque};

/// Messages before the oldest unsettled one that are remembered.
const REMEMBERED: u64 = 1_024;

/// What was read last, in order.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    read: VecDeque<(u64, String)>,
    ids: HashSet<String>,
}

impl Memory {
    /// Where to begin to read, so that what comes before this offset is remembered.
    pub(crate) fn begins(offset: u64) -> u64 {
        offset.saturating_sub(REMEMBERED)
    }

    /// Notes that a message was read; says no where it is a repetition.
    pub(crate) fn remember(&mut self, offset: u64, id: &str) -> bool {
        if id.is_empty() {
            return true;
        }
        let is_new = self.ids.insert(id.to_owned());
        if is_new {
            self.read.push_back((offset, id.to_owned()));
        }
        is_new
    }

    /// Forgets what is long past.
    pub(crate) fn forget_before(&mut self, mark: u64) {
        while let Some((_, id)) = self.read.pop_front_if(|(offset, _)| *offset + REMEMBERED < mark) {
            self.ids.remove(&id);
        }
    }

    /// The last message before an offset that has an id of its own.
    pub(crate) fn before(&self, offset: u64) -> Option<&(u64, String)> {
        let at = self.read.partition_point(|(read, _)| *read < offset);
        self.read.get(at.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_recognised_until_it_is_long_past() {
        let mut memory = Memory::default();
        assert!(memory.remember(1, "a") && memory.remember(2, "b") && !memory.remember(3, "a"));
        let before = |offset| memory.before(offset).map(|(read, id)| (*read, id.as_str()));
        assert_eq!(
            [before(1), before(2), before(3), before(9)],
            [None, Some((1, "a")), Some((2, "b")), Some((2, "b"))]
        );
        memory.forget_before(REMEMBERED + 2);
        assert!(memory.remember(REMEMBERED + 2, "a") && !memory.remember(REMEMBERED + 3, "b"));
    }
}
