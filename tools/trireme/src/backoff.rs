//! How long to wait before a process that died is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// Who lived this long is taken to be well.
const HEALTHY: Duration = Duration::from_secs(5);

/// Doubles from 50 ms to 5 s, and starts over after a life of 5 s.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after a life that lasted for `lived`.
    pub(crate) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= HEALTHY {
            self.0 = FIRST;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_five_seconds_and_starts_over_after_five_alive() {
        let mut backoff = Backoff::new();
        let mut pauses = || backoff.after(Duration::from_secs(4)).as_millis();
        let eight: Vec<_> = (0..9).map(|_| pauses()).collect();
        assert_eq!(eight, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(Duration::from_secs(5)).as_millis(), 50);
        assert_eq!(backoff.after(Duration::ZERO).as_millis(), 100);
    }
}
