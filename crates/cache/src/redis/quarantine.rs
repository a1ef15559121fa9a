//! What Redis has kept over an outage is not trusted at once: somebody may have written meanwhile and not told it yet.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long others may take to tell Redis what they have written while it was away, from when we hear it again.
const LAG: Duration = Duration::from_secs(3);

/// A server that is there is heard of within this time.
const PROMPT: Duration = Duration::from_secs(1);

/// Somebody else loads anew what Redis has kept over an outage.
#[derive(Debug, thiserror::Error)]
#[error("what redis kept is not trusted yet")]
pub(super) struct Quarantined;

#[derive(Debug)]
pub(super) struct Quarantine {
    made: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether Redis has been heard before.
    heard: bool,
    /// What is of an earlier generation is not trusted,
    before: u64,
    /// until then; or as long as it takes.
    until: Option<Instant>,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self { made: Instant::now(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis may be away from now on, which is `server` on its clock at most.
    pub(super) fn begin(&self, server: u64) {
        let mut state = self.state();
        (state.before, state.until) = (server, None);
    }

    /// Redis is heard again, and this is its time.
    pub(super) fn end(&self, server: u64) {
        let mut state = self.state();
        if !state.heard && self.made.elapsed() > PROMPT {
            // It was away when this process began: since when is not known.
            state.before = server;
        }
        state.heard = true;
        state.until = Some(Instant::now() + LAG);
    }

    /// Whether a value of this generation can be trusted.
    pub(super) fn trusts(&self, generation: u64) -> bool {
        generation >= self.before()
    }

    pub(super) fn is_on(&self) -> bool {
        self.before() > 0
    }

    fn before(&self) -> u64 {
        let mut state = self.state();
        if state.until.is_some_and(|until| until <= Instant::now()) {
            state.before = 0;
        }
        state.before
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_from_before_an_outage_is_not_trusted_for_a_while() {
        let quarantine = Quarantine::new();
        quarantine.end(100);
        assert!(quarantine.trusts(1) && !quarantine.is_on(), "heard at once");
        quarantine.begin(200);
        advance(LAG * 10).await;
        assert!(quarantine.is_on() && !quarantine.trusts(199) && quarantine.trusts(200));
        quarantine.end(300);
        assert!(!quarantine.trusts(199), "the others may not have told it yet");
        advance(LAG).await;
        assert!(quarantine.trusts(199) && !quarantine.is_on());
    }

    #[tokio::test(start_paused = true)]
    async fn redis_may_have_been_away_when_this_process_began() {
        let quarantine = Quarantine::new();
        advance(PROMPT * 2).await;
        quarantine.end(100);
        assert!(!quarantine.trusts(99) && quarantine.trusts(100));
        advance(LAG).await;
        assert!(quarantine.trusts(99));
    }
}
