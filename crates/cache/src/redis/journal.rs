//! Writes that Redis was not told of: nothing is read of a key before Redis knows that it was written.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// With more keys than this, all that is stored is given up instead.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Journal {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Keys, each with the number of the last write of it that failed.
    keys: HashMap<String, u64>,
    failed: u64,
    /// How many writes had no place, and of how many of them it is known that all was given up since.
    lost: u64,
    given_up: u64,
}

/// A write under way: dropped before [`Write::done`], it is in the journal.
pub(super) struct Write<'a> {
    journal: &'a Journal,
    key: Option<&'a str>,
}

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write<'a>(&'a self, key: &'a str) -> Write<'a> {
        Write { journal: self, key: Some(key) }
    }

    /// The number of the key's last failed write.
    pub(super) fn failed(&self, key: &str) -> Option<u64> {
        self.state().keys.get(key).copied()
    }

    /// All keys with their numbers.
    pub(super) fn all(&self) -> Vec<(String, u64)> {
        self.state().keys.iter().map(|(key, number)| (key.clone(), *number)).collect()
    }

    pub(super) fn len(&self) -> u64 {
        let state = self.state();
        state.keys.len() as u64 + state.lost.saturating_sub(state.given_up)
    }

    /// Redis knows of the key's writes up to this one.
    pub(super) fn told(&self, key: &str, number: u64) {
        let mut state = self.state();
        if state.keys.get(key).is_some_and(|last| *last <= number) {
            state.keys.remove(key);
        }
    }

    /// How many writes had no place, if that is more than have been given up.
    pub(super) fn overflow(&self) -> Option<u64> {
        let state = self.state();
        (state.lost > state.given_up).then_some(state.lost)
    }

    /// All that was stored when so many had been lost has been given up.
    pub(super) fn given_up(&self, lost: u64) {
        self.state().given_up = lost;
    }

    /// Returns once there is something that Redis has to be told of.
    pub(super) async fn filled(&self) {
        while self.overflow().is_none() && self.state().keys.is_empty() {
            self.filled.notified().await;
        }
    }
}

impl Write<'_> {
    pub(super) fn done(mut self) {
        self.key = None;
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut guard = self.journal.state();
        let state = &mut *guard;
        state.failed += 1;
        if let Some(number) = state.keys.get_mut(key) {
            *number = state.failed;
        } else if state.keys.len() < MOST {
            state.keys.insert(key.to_owned(), state.failed);
        } else {
            state.lost += 1;
        }
        drop(guard);
        self.journal.filled.notify_one();
    }
}
