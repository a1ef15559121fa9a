//! Says that something is away: at once, and then at growing intervals, however many callers find out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Backoff;

/// How long it is not said again.
const INTERVAL: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5));

/// An outage of a dependency, while there is one, and when it is time to log it: at the first failure and then after 1 s,
/// 2 s, 4 s, and so on, up to every 5 minutes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let outage = resilience::Outage::default();
/// assert_eq!(outage.failed(), Some(1));
/// assert_eq!(outage.failed(), None, "said a moment ago");
/// assert_eq!(outage.ended(), Some(2));
/// assert_eq!(outage.ended(), None, "there is none");
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<State>>);

#[derive(Debug)]
struct State {
    failures: u64,
    said: u32,
    say_at: Instant,
}

impl Outage {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure; returns how many there have been where it is time to say so.
    pub fn failed(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.lock();
        let state = state.get_or_insert(State { failures: 0, said: 0, say_at: now });
        state.failures += 1;
        if now < state.say_at {
            return None;
        }
        state.said = state.said.saturating_add(1);
        state.say_at = now + INTERVAL.ceiling(state.said);
        Some(state.failures)
    }

    /// Ends it; returns how many failures there were where there was one.
    pub fn ended(&self) -> Option<u64> {
        self.lock().take().map(|state| state.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_an_hour_is_said_a_few_times() {
        let outage = Outage::default();
        let mut said = Vec::new();
        for second in 0..3_600 {
            said.extend(outage.failed().map(|failures| (second, failures)));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said[..4], [(0, 1), (1, 2), (3, 4), (7, 8)]);
        assert_eq!((said.len(), outage.ended()), (20, Some(3_600)));
        assert_eq!(outage.failed(), Some(1), "another one is said at once");
    }
}
