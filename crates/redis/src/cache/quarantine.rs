//! After an outage, values from before its end are not trusted for a while: another process may have written meanwhile
//! and not yet told Redis.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long other processes may take to replay their journals, from when this one is connected again.
const REPLAY_TIME: Duration = Duration::from_secs(3);

/// To a server that is up, a new process connects within this time.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);

/// The value is not trusted, and somebody else is loading it anew.
#[derive(Debug, thiserror::Error)]
#[error("the value is from before an outage and not trusted yet")]
pub(super) struct Quarantined;

#[derive(Debug)]
pub(super) struct Quarantine {
    created: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connected_before: bool,
    /// Values of an earlier generation are not trusted.
    trusted_from: u64,
    /// When they are trusted again; `None` during the outage.
    ends: Option<Instant>,
}

impl Quarantine {
    pub(super) fn new() -> Self {
        Self { created: Instant::now(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection was lost, when the server's clock showed `server_time` in us or less.
    pub(super) fn on_disconnected(&self, server_time: u64) {
        let mut state = self.lock();
        (state.trusted_from, state.ends) = (server_time, None);
    }

    /// There is a connection, and the server's clock shows `server_time` in us.
    pub(super) fn on_connected(&self, server_time: u64) {
        let mut state = self.lock();
        if !state.connected_before && self.created.elapsed() > FIRST_CONNECTION {
            // It was down when this process began, and nobody here knows since when.
            state.trusted_from = server_time;
        }
        state.connected_before = true;
        state.ends = Some(Instant::now() + REPLAY_TIME);
    }

    /// Whether a value of this generation can be trusted.
    pub(super) fn trusts(&self, generation: u64) -> bool {
        generation >= self.trusted_from()
    }

    pub(super) fn is_active(&self) -> bool {
        self.trusted_from() > 0
    }

    fn trusted_from(&self) -> u64 {
        let mut state = self.lock();
        if state.ends.is_some_and(|ends| ends <= Instant::now()) {
            state.trusted_from = 0;
        }
        state.trusted_from
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_from_before_an_outage_is_not_trusted_for_a_while() {
        let quarantine = Quarantine::new();
        quarantine.on_connected(100);
        assert!(quarantine.trusts(1) && !quarantine.is_active(), "connected at once");
        quarantine.on_disconnected(200);
        advance(REPLAY_TIME * 10).await;
        assert!(quarantine.is_active() && !quarantine.trusts(199) && quarantine.trusts(200));
        quarantine.on_connected(300);
        assert!(!quarantine.trusts(199), "the others may not have replayed their journals yet");
        advance(REPLAY_TIME).await;
        assert!(quarantine.trusts(199) && !quarantine.is_active());
    }

    #[tokio::test(start_paused = true)]
    async fn redis_may_have_been_down_when_this_process_began() {
        let quarantine = Quarantine::new();
        advance(FIRST_CONNECTION * 2).await;
        quarantine.on_connected(100);
        assert!(!quarantine.trusts(99) && quarantine.trusts(100));
        advance(REPLAY_TIME).await;
        assert!(quarantine.trusts(99));
    }
}
