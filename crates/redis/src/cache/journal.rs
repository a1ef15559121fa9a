//! Writes that Redis may not have been told of: a key in the journal is not read from Redis before it has been
//! invalidated there.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// With more keys than this, everything that is stored is invalidated instead.
const MAX_KEYS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Journal {
    state: Mutex<State>,
    appended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Keys, each with the sequence number of its last failed write.
    keys: HashMap<String, u64>,
    last_sequence: u64,
    /// How many writes found the journal full, and how many of them a new epoch has made up for.
    overflowed: u64,
    cleared: u64,
}

/// A write in progress: dropped before it is [confirmed](PendingWrite::confirm), its key is in the journal.
pub(super) struct PendingWrite<'a> {
    journal: &'a Journal,
    key: Option<&'a str>,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_write<'a>(&'a self, key: &'a str) -> PendingWrite<'a> {
        PendingWrite { journal: self, key: Some(key) }
    }

    /// The sequence number of the key's last failed write, if it is in the journal.
    pub(super) fn sequence_of(&self, key: &str) -> Option<u64> {
        self.lock().keys.get(key).copied()
    }

    /// The keys, those whose writes failed first before the others.
    pub(super) fn keys(&self) -> Vec<String> {
        let state = self.lock();
        let mut keys: Vec<(u64, String)> = state.keys.iter().map(|(key, sequence)| (*sequence, key.clone())).collect();
        drop(state);
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    pub(super) fn len(&self) -> u64 {
        let state = self.lock();
        state.keys.len() as u64 + state.overflowed.saturating_sub(state.cleared)
    }

    /// Removes the key, which Redis has invalidated, unless another write has failed since this sequence number.
    pub(super) fn remove(&self, key: &str, sequence: u64) {
        let mut state = self.lock();
        if state.keys.get(key).is_some_and(|last| *last <= sequence) {
            state.keys.remove(key);
        }
    }

    /// How many writes have found the journal full, if a new epoch has to make up for some.
    pub(super) fn overflow(&self) -> Option<u64> {
        let state = self.lock();
        (state.overflowed > state.cleared).then_some(state.overflowed)
    }

    /// A new epoch was begun when so many writes had found the journal full.
    pub(super) fn clear_overflow(&self, overflowed: u64) {
        self.lock().cleared = overflowed;
    }

    /// Returns once there is something that Redis has to be told of.
    pub(super) async fn wait_until_pending(&self) {
        while self.overflow().is_none() && self.lock().keys.is_empty() {
            self.appended.notified().await;
        }
    }
}

impl PendingWrite<'_> {
    /// Redis has answered the write.
    pub(super) fn confirm(mut self) {
        self.key = None;
    }
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut guard = self.journal.lock();
        let state = &mut *guard;
        state.last_sequence += 1;
        if let Some(sequence) = state.keys.get_mut(key) {
            *sequence = state.last_sequence;
        } else if state.keys.len() < MAX_KEYS {
            state.keys.insert(key.to_owned(), state.last_sequence);
        } else {
            state.overflowed += 1;
        }
        drop(guard);
        self.journal.appended.notify_one();
    }
}
