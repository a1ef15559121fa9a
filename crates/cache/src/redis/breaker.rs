//! Leaves Redis alone for a while after it has failed several times in a row.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// How long it stays open at first and at most; doubled each time the one try in between fails.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pause: Duration,
    open_until: Option<Instant>,
}

/// A call under way: dropped before [`Call::answered`], it has failed.
pub(super) struct Call<'a>(Option<&'a Breaker>);

/// Redis is left alone for now.
#[derive(Debug, thiserror::Error)]
#[error("redis has failed {FAILURES} times in a row and is left alone for a while")]
pub(super) struct Open;

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, or not; of those who come when the pause is over, one.
    pub(super) fn call(&self) -> Result<Call<'_>, Open> {
        let (mut state, now) = (self.state(), Instant::now());
        match state.open_until {
            Some(until) if until > now => Err(Open),
            Some(_) => {
                // Until the try has come to something the others stay out.
                state.open_until = Some(now + PAUSE.0);
                Ok(Call(Some(self)))
            }
            None => Ok(Call(Some(self))),
        }
    }

    /// Redis answers again.
    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    fn failed(&self) {
        let mut state = self.state();
        state.failures += 1;
        if state.failures >= FAILURES {
            state.pause = (state.pause * 2).clamp(PAUSE.0, PAUSE.1);
            state.open_until = Some(Instant::now() + state.pause);
            state.failures = FAILURES - 1;
        }
    }
}

impl Call<'_> {
    pub(super) fn answered(mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.close();
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0 {
            breaker.failed();
        }
    }
}
