//! How long to wait before a process that died is started again.

use std::time::Duration;

const BACKOFF: resilience::Backoff = resilience::Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
/// A process that ran for this long is taken to be well.
const HEALTHY: Duration = Duration::from_secs(5);

/// Counts the runs of a process that were short. Without jitter: only this machine is concerned.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the delay after a run of this duration: doubles from 50 ms to 5 s, and starts over after a run of 5 s.
    pub(crate) fn after(&mut self, uptime: Duration) -> Duration {
        self.failures = if uptime >= HEALTHY { 1 } else { self.failures.saturating_add(1) };
        BACKOFF.ceiling(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_five_seconds_and_starts_over_after_five_alive() {
        let mut backoff = Backoff::default();
        let mut pauses = || backoff.after(Duration::from_secs(4)).as_millis();
        let eight: Vec<_> = (0..9).map(|_| pauses()).collect();
        assert_eq!(eight, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(Duration::from_secs(5)).as_millis(), 50);
        assert_eq!(backoff.after(Duration::ZERO).as_millis(), 100);
    }
}
