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

/// A caller who gives up before this has been in a hurry; after it, Redis has not answered.
const PATIENCE: Duration = Duration::from_millis(250);

/// A call under way: dropped after [`PATIENCE`] without an answer, it has failed.
pub(super) struct Call<'a> {
    breaker: Option<&'a Breaker>,
    began: Instant,
}

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
            open => {
                // Until the try has come to something the others stay out.
                state.open_until = open.map(|_| now + PAUSE.0);
                Ok(Call { breaker: Some(self), began: now })
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().open_until.is_some()
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
    /// Redis has answered, or failed.
    pub(super) fn end<T, E>(mut self, answer: Result<T, E>) -> Result<T, E> {
        if let Some(breaker) = self.breaker.take() {
            if answer.is_ok() { breaker.close() } else { breaker.failed() }
        }
        answer
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker.filter(|_| self.began.elapsed() >= PATIENCE) {
            breaker.failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn fail(breaker: &Breaker) {
        let _ = breaker.call().unwrap().end(Err::<(), ()>(()));
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_lets_one_try() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            (1..FAILURES).for_each(|_| fail(&breaker));
            let _ = breaker.call().unwrap().end(Ok::<(), ()>(()));
        }
        (0..FAILURES).for_each(|_| fail(&breaker));
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert!(breaker.call().is_err() && breaker.is_open());
            advance(Duration::from_secs(pause)).await;
            let one = breaker.call().unwrap();
            assert!(breaker.call().is_err(), "the others stay out");
            let _ = one.end(Err::<(), ()>(()));
        }
        advance(PAUSE.1).await;
        let _ = breaker.call().unwrap().end(Ok::<(), ()>(()));
        assert!(breaker.call().is_ok() && !breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn callers_in_a_hurry_say_nothing_about_redis() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES * 2 {
            drop(breaker.call().unwrap());
        }
        assert!(!breaker.is_open());
        for _ in 0..FAILURES {
            let call = breaker.call().unwrap();
            advance(PATIENCE).await;
            drop(call);
        }
        assert!(breaker.is_open());
    }
}
