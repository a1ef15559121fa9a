//! A circuit breaker: opens on the failure rate of the latest calls, lets one probe through after a pause.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::config::Breaker as Config;

#[derive(Debug)]
enum State {
    /// The outcomes of the latest calls, `true` for a failure.
    Closed(VecDeque<bool>),
    /// Nothing is let through until then.
    Open { until: Instant, pause: Duration },
    /// One call is on its way; its outcome decides.
    Probing { pause: Duration },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    config: Config,
    state: Mutex<State>,
}

/// The right to make one call. Dropped without an outcome (the caller went away), it counts for nothing.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, state: Mutex::new(State::Closed(VecDeque::new())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one call; `None` while open.
    pub(crate) fn permit(&self) -> Option<Permit<'_>> {
        let mut state = self.state();
        match *state {
            State::Closed(_) => Some(Permit { breaker: self, probe: false }),
            State::Open { until, pause } if Instant::now() >= until => {
                *state = State::Probing { pause };
                Some(Permit { breaker: self, probe: true })
            }
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    fn open(&self, pause: Duration) -> State {
        let pause = pause.min(self.config.open_max);
        State::Open { until: Instant::now() + pause, pause }
    }
}

impl Permit<'_> {
    /// Says how the call ended.
    pub(crate) fn record(self, failed: bool) {
        let (breaker, config) = (self.breaker, &self.breaker.config);
        let mut state = breaker.state();
        match &mut *state {
            State::Closed(latest) => {
                latest.push_back(failed);
                if latest.len() > config.window {
                    latest.pop_front();
                }
                let failures = latest.iter().filter(|failed| **failed).count();
                if latest.len() >= config.window && ratio(failures, latest.len()) >= config.failure_rate {
                    *state = breaker.open(config.open);
                }
            }
            State::Probing { pause } if self.probe => {
                let pause = pause.saturating_mul(2);
                *state = if failed { breaker.open(pause) } else { State::Closed(VecDeque::new()) };
            }
            // A call from before the breaker opened says nothing new.
            State::Open { .. } | State::Probing { .. } => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if let State::Probing { pause } = *state
            && self.probe
        {
            *state = State::Open { until: Instant::now(), pause };
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    number(part) / number(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        let open = Duration::from_secs(1);
        Breaker::new(Config { window: 4, failure_rate: 0.5, open, open_max: Duration::from_secs(3) })
    }

    fn call(breaker: &Breaker, failed: bool) -> bool {
        breaker.permit().map(|permit| permit.record(failed)).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn opens_on_the_rate_and_closes_after_a_good_probe() {
        let breaker = breaker();
        for failed in [true, false, false, false, true] {
            assert!(call(&breaker, failed), "a quarter of failures keeps it closed");
        }
        assert!(call(&breaker, true));
        assert!(!call(&breaker, false), "half of the window failed");
        tokio::time::advance(Duration::from_secs(1)).await;
        let probe = breaker.permit();
        assert!(probe.is_some());
        assert!(breaker.permit().is_none(), "one probe at a time");
        if let Some(probe) = probe {
            probe.record(false);
        }
        assert!(call(&breaker, false));
    }

    #[tokio::test(start_paused = true)]
    async fn each_failed_probe_doubles_the_pause_up_to_its_bound() {
        let breaker = breaker();
        for _ in 0..4 {
            call(&breaker, true);
        }
        for pause in [1, 2, 3, 3] {
            assert!(!call(&breaker, true));
            tokio::time::advance(Duration::from_millis(pause * 1000 - 1)).await;
            assert!(!call(&breaker, true), "open for {pause} s");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(call(&breaker, true), "a probe after {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_went_away_leaves_room_for_another() {
        let breaker = breaker();
        for _ in 0..4 {
            call(&breaker, true);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(breaker.permit());
        assert!(call(&breaker, false));
        assert!(call(&breaker, false), "closed");
    }
}
