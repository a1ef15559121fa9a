//! The server's clock, as far as this process can tell without asking.
//!
//! It is read when the feed connects and once a minute, and extrapolated by this process' own monotonic clock, which is
//! assumed to be exact to a thousandth. On a cluster it is the clock of one server: times to live are off by as much as
//! the servers' clocks differ.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

/// After this long it is read again.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Two clocks drift apart by one part in so many at most.
const DRIFT: u64 = 1000;

/// The server's time in us, and ours no later than that.
#[derive(Debug, Default)]
pub(super) struct ServerClock(RwLock<Option<(u64, Instant)>>);

impl ServerClock {
    fn last_reading(&self) -> Option<(u64, Instant)> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's clock showed `us` when it was asked at `asked_at`, or later.
    pub(super) fn set(&self, us: u64, asked_at: Instant) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((us, asked_at));
    }

    /// The server's time in us, or a little more.
    pub(super) fn estimate(&self) -> Option<u64> {
        let (us, asked_at) = self.last_reading()?;
        Some(us + u64::try_from(asked_at.elapsed().as_micros()).unwrap_or_default())
    }

    /// A time in us that the server's clock has not passed.
    pub(super) fn upper_bound(&self) -> Option<u64> {
        let (us, asked_at) = self.last_reading()?;
        let elapsed = u64::try_from(asked_at.elapsed().as_micros()).unwrap_or_default();
        Some(us + elapsed + elapsed / DRIFT)
    }

    /// Whether it has been read, and that is long ago.
    pub(super) fn is_stale(&self) -> bool {
        self.last_reading().is_some_and(|(_, asked_at)| asked_at.elapsed() > MAX_AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_never_behind_the_server() {
        let clock = ServerClock::default();
        assert_eq!((clock.upper_bound(), clock.is_stale()), (None, false));
        clock.set(1_000_000, Instant::now());
        assert_eq!(clock.upper_bound(), Some(1_000_000));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(clock.upper_bound(), Some(101_100_000), "a thousandth more than has passed");
        assert!(clock.is_stale());
    }
}
