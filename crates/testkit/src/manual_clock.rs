//! A clock that stands still until the test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clock::{Clock, SharedClock};
use time::OffsetDateTime;

/// A clock that stands still until the test moves it; clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Makes a clock that stands at `start`.
    pub fn new(start: OffsetDateTime) -> Self {
        Self(Arc::new(AtomicI64::new(clock::micros(start))))
    }

    /// Makes a clock that stands at the current time.
    pub fn at_now() -> Self {
        Self::new(OffsetDateTime::now_utc())
    }

    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the time, also backwards.
    pub fn set(&self, to: OffsetDateTime) {
        self.0.store(clock::micros(to), Ordering::SeqCst);
    }

    /// Returns it in the form that code under test takes.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        clock::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_only_when_told_and_all_clones_together() {
        let manual = ManualClock::new(OffsetDateTime::UNIX_EPOCH);
        let shared = manual.shared();
        assert_eq!(shared.now(), OffsetDateTime::UNIX_EPOCH);
        manual.advance(Duration::from_millis(1500));
        assert_eq!(clock::micros(shared.now()), 1_500_000);
        manual.set(OffsetDateTime::UNIX_EPOCH);
        assert_eq!(shared.now(), OffsetDateTime::UNIX_EPOCH);
    }
}
