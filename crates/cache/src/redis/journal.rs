//! Writes that Redis was not told of: nothing is read of a key before Redis knows that it was written.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// With more keys than this, all that is stored is given up instead.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    keys: HashSet<String>,
    overflown: bool,
}

/// A write under way: dropped before [`Write::done`], it is in the journal.
pub(super) struct Write<'a> {
    journal: &'a Journal,
    key: Option<&'a str>,
}

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write<'a>(&'a self, key: &'a str) -> Write<'a> {
        Write { journal: self, key: Some(key) }
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.state().keys.contains(key)
    }

    /// Whether there was more than could be kept.
    pub(super) fn is_overflown(&self) -> bool {
        self.state().overflown
    }

    pub(super) fn len(&self) -> usize {
        self.state().keys.len()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state().keys.iter().cloned().collect()
    }

    pub(super) fn told(&self, key: &str) {
        self.state().keys.remove(key);
    }

    /// All that was stored before has been given up.
    pub(super) fn given_up(&self) {
        *self.state() = State::default();
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
        let mut state = self.journal.state();
        if state.keys.len() < MOST {
            state.keys.insert(key.to_owned());
        } else {
            state.overflown = true;
        }
    }
}
