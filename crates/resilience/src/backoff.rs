//! Exponential backoff with jitter.

use std::time::Duration;

/// How long to wait after failed attempts: doubles from the first delay to the longest, with jitter.
///
/// It has no state: whoever counts attempts, in a variable or a stored row, asks with the number.
/// This, the bound that holds with the jitter included, and whole nanoseconds are why it is not `backon`, whose delays are
/// a sequence, jittered up to twice the longest, in `f32` seconds.
///
/// ```
/// use std::time::Duration;
/// use resilience::Backoff;
///
/// const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
/// assert_eq!(BACKOFF.ceiling(3), Duration::from_millis(200));
/// assert!(BACKOFF.delay(3) <= BACKOFF.ceiling(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Makes a backoff from the delay after the first failure and the bound of all delays.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the delay after the `attempt`th failed attempt, counted from 1, with jitter: from half of
    /// [`Self::ceiling`] up to it.
    ///
    /// "Equal jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    /// Full jitter spreads a little better, but may retry at once; where a server restarts, that is what hurts.
    pub fn delay(self, attempt: u32) -> Duration {
        self.ceiling(attempt).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Returns the delay after the `attempt`th failed attempt, counted from 1, without jitter.
    pub fn ceiling(self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

    #[test]
    fn delays_grow_to_the_longest() {
        for (attempt, low, high) in [(1, 25, 50), (2, 50, 100), (8, 2_500, 5_000), (400, 2_500, 5_000)] {
            let delay = BACKOFF.delay(attempt).as_millis();
            assert!((low..=high).contains(&delay), "attempt {attempt} waits {delay} ms");
        }
    }

    #[test]
    fn ceilings_double_up_to_the_longest() {
        let ceilings: Vec<_> = (1..=9).map(|attempt| BACKOFF.ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), Duration::from_secs(5));
        assert_eq!(BACKOFF.ceiling(0), BACKOFF.ceiling(1));
    }

    #[test]
    fn those_who_failed_together_come_back_apart() {
        let delays: HashSet<_> = (0..100).map(|_| BACKOFF.delay(8)).collect();
        assert!(delays.len() > 90, "{} different delays of 100", delays.len());
    }

    proptest! {
        #[test]
        fn no_delay_is_beyond_its_bounds(first in 0..u64::MAX, longest in 0..u64::MAX, attempt: u32) {
            let backoff = Backoff::new(Duration::from_nanos(first), Duration::from_nanos(longest));
            let (delay, ceiling) = (backoff.delay(attempt), backoff.ceiling(attempt));
            prop_assert!(ceiling <= Duration::from_nanos(longest));
            // A microsecond for what `f64` rounds of centuries.
            prop_assert!(delay <= ceiling + Duration::from_micros(1));
            prop_assert!(delay + Duration::from_micros(1) >= ceiling / 2);
        }
    }
}
