//! The server's clock, as far as this process can tell without asking.
//!
//! It is read when the feed begins and once a minute, and followed by this process' own monotonic clock, which is taken
//! to go right within a thousandth. On a cluster it is the clock of one server: times to live are off by as much as the
//! servers' clocks differ.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

/// After this long it is read again.
const AGE: Duration = Duration::from_mins(1);
/// One part in so many is how far two clocks go apart at most.
const DRIFT: u64 = 1000;

/// The server's time in us, and ours no later than that.
#[derive(Debug, Default)]
pub(super) struct ServerClock(RwLock<Option<(u64, Instant)>>);

impl ServerClock {
    fn read(&self) -> Option<(u64, Instant)> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server said `us` when it was asked at `asked`.
    pub(super) fn set(&self, us: u64, asked: Instant) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((us, asked));
    }

    /// The server's time in us, or a little more.
    pub(super) fn about(&self) -> Option<u64> {
        let (us, asked) = self.read()?;
        Some(us + u64::try_from(asked.elapsed().as_micros()).unwrap_or_default())
    }

    /// A time in us that the server's clock has not gone beyond.
    pub(super) fn at_most(&self) -> Option<u64> {
        let (us, asked) = self.read()?;
        let since = u64::try_from(asked.elapsed().as_micros()).unwrap_or_default();
        Some(us + since + since / DRIFT)
    }

    /// Whether it has been read, and that is long ago.
    pub(super) fn is_old(&self) -> bool {
        self.read().is_some_and(|(_, asked)| asked.elapsed() > AGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_never_behind_the_server() {
        let clock = ServerClock::default();
        assert_eq!((clock.at_most(), clock.is_old()), (None, false));
        clock.set(1_000_000, Instant::now());
        assert_eq!(clock.at_most(), Some(1_000_000));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(clock.at_most(), Some(101_100_000), "a thousandth more than has passed");
        assert!(clock.is_old());
    }
}
