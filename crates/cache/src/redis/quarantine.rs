//! What Redis has kept over an outage is not trusted at once: somebody may have written meanwhile and not told it yet.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long others may take to tell Redis what they have written while it was away, from when we hear it again.
const LAG: Duration = Duration::from_secs(3);

/// Somebody else loads anew what Redis has kept over an outage.
#[derive(Debug, thiserror::Error)]
#[error("what redis kept is not trusted yet")]
pub(super) struct Quarantined;

#[derive(Debug, Default)]
pub(super) struct Quarantine(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The server's time in us, and ours when it said so.
    anchor: Option<(u64, Instant)>,
    /// What is of an earlier generation is not trusted,
    before: u64,
    /// until then; or as long as it takes.
    until: Option<Instant>,
}

impl Quarantine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis may be away from now on.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        if let Some((server, ours)) = state.anchor {
            let since = u64::try_from(ours.elapsed().as_micros()).unwrap_or_default();
            (state.before, state.until) = (server + since, None);
        }
    }

    /// Redis is heard again, and this is its time.
    pub(super) fn end(&self, server: u64) {
        let (mut state, now) = (self.state(), Instant::now());
        state.anchor = Some((server, now));
        state.until = Some(now + LAG);
    }

    /// Whether a value of this generation can be trusted.
    pub(super) fn trusts(&self, generation: u64) -> bool {
        let mut state = self.state();
        if state.until.is_some_and(|until| until <= Instant::now()) {
            state.before = 0;
        }
        generation >= state.before
    }
}
