//! What the bucket says about one part of a group.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Replays are a kind of their own: they have their place in the log like others.
pub(super) const REPLAY: &str = "~replay";

/// Who reads a part and what is not settled there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The member that reads it; nobody where it is empty.
    pub(super) owner: String,
    /// By kind: events up to this place of the stream are settled unless they are open.
    pub(super) read: BTreeMap<String, u64>,
    /// Events that were read and are not settled.
    pub(super) open: BTreeMap<u64, Tried>,
}

/// What is known of an event that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tried {
    /// Deliveries so far.
    pub(super) attempts: u32,
    /// Whether one of them was under way when this was written.
    #[serde(default)]
    pub(super) held: bool,
}

impl Entry {
    /// A part that nobody has read.
    pub(super) fn unread<'a>(kinds: impl IntoIterator<Item = &'a str>) -> Self {
        Self { read: kinds.into_iter().map(|kind| (kind.to_owned(), 0)).collect(), ..Self::default() }
    }

    /// The first place of the stream that somebody who handles these kinds has to read.
    pub(super) fn start(&self, kinds: &[String]) -> u64 {
        let unread = kinds.iter().map(|kind| self.read.get(kind).copied().unwrap_or_default() + 1).min();
        let open = self.open.keys().next().copied();
        unread.into_iter().chain(open).min().unwrap_or(1)
    }

    /// Says whether the event at that place still has to be handled.
    pub(super) fn wants(&self, kind: &str, place: u64) -> bool {
        self.open.contains_key(&place) || self.read.get(kind).is_none_or(|read| place > *read)
    }

    pub(super) fn to_bytes(&self) -> Result<Bytes, Error> {
        serde_json::to_vec(self).map(Bytes::from).map_err(Error::Encode)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_kind_is_read_from_the_beginning() {
        let mut entry = Entry::unread(["a"]);
        entry.read.insert("a".to_owned(), 9);
        entry.open.insert(4, Tried::default());
        assert_eq!(entry.start(&["a".to_owned()]), 4);
        assert_eq!(entry.start(&["a".to_owned(), "b".to_owned()]), 1);
        assert!(entry.wants("a", 4) && entry.wants("a", 10) && entry.wants("b", 2));
        assert!(!entry.wants("a", 5));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut entry = Entry::unread(["a", REPLAY]);
        entry.open.insert(7, Tried { attempts: 2, held: true });
        assert_eq!(Entry::from_bytes(&entry.to_bytes().unwrap()).unwrap(), entry);
    }
}
