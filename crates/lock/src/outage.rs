//! Says that no lock can be taken: at once, and then at growing intervals, however many callers find out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Error;

/// The interval after the first time; it doubles each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest interval.
const LONGEST: Duration = Duration::from_mins(5);

/// An outage of the backend, while there is one.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<Option<State>>);

#[derive(Debug)]
struct State {
    failures: u64,
    say_at: Instant,
    interval: Duration,
}

impl Outage {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend gave no answer, or an error.
    pub(crate) fn failed(&self, error: &Error) {
        if let Some(failures) = self.count(Instant::now()) {
            tracing::warn!(error = error as &dyn std::error::Error, failures, "no lock can be taken");
        }
    }

    /// The backend has answered.
    pub(crate) fn ended(&self) {
        if let Some(State { failures, .. }) = self.lock().take() {
            tracing::info!(failures, "locks can be taken again");
        }
    }

    /// Counts a failure; how many there have been, where it is time to say so.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        let state = state.get_or_insert(State { failures: 0, say_at: now, interval: FIRST });
        state.failures += 1;
        if now < state.say_at {
            return None;
        }
        state.say_at = now + state.interval;
        state.interval = (state.interval * 2).min(LONGEST);
        Some(state.failures)
    }
}
