//! While what handlers need is away, one of them finds out when it is back and the others wait.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

use super::Policy;

/// The longest pause between two questions, whatever the pauses between the tries of an event: what is back is used again
/// within seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// Whether what the handlers of a consumer need is away.
#[derive(Default)]
pub(super) struct Outage {
    away: AtomicBool,
    /// How often in a row it was found away. Whoever tries next holds it through its pause and its try.
    found: Mutex<u32>,
}

/// Leave to try; the only one where something is away.
pub(super) struct Turn<'a> {
    outage: &'a Outage,
    found: Option<MutexGuard<'a, u32>>,
}

impl Outage {
    /// Waits for its turn: no time at all, or until everybody who came before has tried and a pause is over.
    ///
    /// Cancel safe, as is dropping the turn: the next one in the queue tries.
    pub(super) async fn turn(&self, policy: &Policy) -> Turn<'_> {
        if !self.away.load(Ordering::Acquire) {
            return Turn { outage: self, found: None };
        }
        let found = self.found.lock().await;
        if !self.away.load(Ordering::Acquire) {
            return Turn { outage: self, found: None };
        }
        sleep(pause(policy, *found)).await;
        Turn { outage: self, found: Some(found) }
    }
}

impl Turn<'_> {
    /// Whether this is the one try that goes on while something is away.
    pub(super) fn is_alone(&self) -> bool {
        self.found.is_some()
    }

    /// Notes that something is away; says whether that is news, or the one try that goes on.
    pub(super) fn found_away(&mut self) -> bool {
        let news = !self.outage.away.swap(true, Ordering::AcqRel);
        if let Some(found) = &mut self.found {
            **found = found.saturating_add(1);
        }
        news || self.is_alone()
    }

    /// Notes that a handler came to an end of its own: where that is the one that tried, everybody goes on. Says so.
    pub(super) fn found_all_there(&mut self) -> bool {
        let Some(found) = &mut self.found else { return false };
        **found = 0;
        self.outage.away.store(false, Ordering::Release);
        true
    }
}

/// How long to wait before asking again what was found away so often.
fn pause(policy: &Policy, found: u32) -> Duration {
    policy.backoff().delay(found).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where an event that fails waits for a minute.
    #[test]
    fn what_is_back_is_used_again_within_seconds() {
        let policy = Policy::tasks();
        assert!(policy.max_backoff > LONGEST);
        for found in 0..100 {
            assert!(pause(&policy, found) <= LONGEST, "{found}");
        }
    }
}
