//! A circuit breaker: opens on the failure rate of the latest calls, lets one probe through after a pause.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Backoff;

/// When a breaker opens and how long it stays open.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// How many of the latest calls count; it never opens after fewer.
    pub window: usize,
    /// The fraction of them, 0 to 1, that has to fail; 1 means that many failures in a row.
    pub failure_rate: f64,
    /// How long it stays open at first; doubled by each failed probe.
    pub open: Duration,
    /// The longest that it stays open without another probe.
    pub open_max: Duration,
    /// A call that is dropped without an outcome has failed when it took this long; `None`: it counts for nothing.
    pub abandoned_after: Option<Duration>,
}

impl Default for BreakerConfig {
    /// Half of 20 calls; 1 s to 30 s; abandoned calls count for nothing.
    fn default() -> Self {
        Self {
            window: 20,
            failure_rate: 0.5,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            abandoned_after: None,
        }
    }
}

/// What a breaker does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is let through.
    Closed,
    /// It is refused, or, when the pause is over, let through as the probe.
    Open,
    /// It is refused: a probe is on its way.
    HalfOpen,
}

/// The call is refused: the breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open;

/// A circuit breaker, after Michael Nygard, *Release It!*, chapter "Stability Patterns".
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use resilience::{Breaker, BreakerConfig};
///
/// let breaker = Breaker::new(BreakerConfig::default());
/// let permit = breaker.permit().expect("a new breaker is closed");
/// match "42".parse::<u32>() {
///     Ok(_) => permit.succeed(),
///     Err(_) => permit.fail(),
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    /// The outcomes of the latest calls, `true` for a failure.
    Closed(VecDeque<bool>),
    /// Nothing is let through until then. `openings` counts how often it has opened since it was closed.
    Open { until: Instant, openings: u32 },
    /// One call is on its way; its outcome decides.
    Probing { openings: u32 },
}

impl Phase {
    fn closed() -> Self {
        Self::Closed(VecDeque::new())
    }
}

/// The right to make one call. Dropped without an outcome, the call was abandoned: see
/// [`BreakerConfig::abandoned_after`].
#[derive(Debug)]
#[must_use = "dropping it means that the call was abandoned"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    began: Instant,
    decided: bool,
}

impl Breaker {
    /// Makes a closed breaker.
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, phase: Mutex::new(Phase::closed()) }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for one call.
    ///
    /// # Errors
    ///
    /// [`Open`] while the breaker is open, and while a probe is on its way.
    pub fn permit(&self) -> Result<Permit<'_>, Open> {
        let (mut phase, now) = (self.phase(), Instant::now());
        let probe = match *phase {
            Phase::Closed(_) => false,
            Phase::Open { until, openings } if now >= until => {
                *phase = Phase::Probing { openings };
                true
            }
            Phase::Open { .. } | Phase::Probing { .. } => return Err(Open),
        };
        Ok(Permit { breaker: self, probe, began: now, decided: false })
    }

    /// Returns the state, for a gauge.
    pub fn state(&self) -> State {
        match *self.phase() {
            Phase::Closed(_) => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::Probing { .. } => State::HalfOpen,
        }
    }

    /// Closes it: the callee was seen to answer in some other way.
    pub fn close(&self) {
        *self.phase() = Phase::closed();
    }

    fn open(&self, openings: u32) -> Phase {
        let pause = Backoff::new(self.config.open, self.config.open_max).ceiling(openings);
        Phase::Open { until: Instant::now() + pause, openings }
    }
}

impl Permit<'_> {
    /// Says that the callee answered.
    pub fn succeed(mut self) {
        self.decide(false);
    }

    /// Says that the callee failed.
    pub fn fail(mut self) {
        self.decide(true);
    }

    fn decide(&mut self, failed: bool) {
        self.decided = true;
        let (breaker, config) = (self.breaker, &self.breaker.config);
        let mut phase = breaker.phase();
        match &mut *phase {
            Phase::Closed(latest) => {
                latest.push_back(failed);
                if latest.len() > config.window {
                    latest.pop_front();
                }
                let failures = latest.iter().filter(|failed| **failed).count();
                // Only a failure opens it: with a rate of 0, or a window that failures filled long ago, a success must not.
                if failed && latest.len() >= config.window && ratio(failures, latest.len()) >= config.failure_rate {
                    *phase = breaker.open(1);
                }
            }
            Phase::Probing { openings } if self.probe => {
                let openings = openings.saturating_add(1);
                *phase = if failed { breaker.open(openings) } else { Phase::closed() };
            }
            // A call from before the breaker opened says nothing new.
            Phase::Open { .. } | Phase::Probing { .. } => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        if self.breaker.config.abandoned_after.is_some_and(|limit| self.began.elapsed() >= limit) {
            return self.decide(true);
        }
        let mut phase = self.breaker.phase();
        if let Phase::Probing { openings } = *phase
            && self.probe
        {
            // Its caller went away and left nothing to judge by: the next one probes.
            *phase = Phase::Open { until: Instant::now(), openings };
        }
    }
}

fn ratio(failures: usize, calls: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    number(failures) / number(calls)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig { window: 4, open_max: Duration::from_secs(3), ..BreakerConfig::default() })
    }

    /// Opens after five failures in a row.
    fn strict() -> Breaker {
        let abandoned_after = Some(Duration::from_millis(250));
        Breaker::new(BreakerConfig { window: 5, failure_rate: 1.0, abandoned_after, ..BreakerConfig::default() })
    }

    fn call(breaker: &Breaker, failed: bool) -> bool {
        let permit = breaker.permit();
        permit.map(|permit| if failed { permit.fail() } else { permit.succeed() }).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn opens_on_the_rate_and_closes_after_a_good_probe() {
        let breaker = breaker();
        for failed in [true, false, false, false, true] {
            assert!(call(&breaker, failed), "a quarter of failures keeps it closed");
        }
        assert_eq!(breaker.state(), State::Closed);
        assert!(call(&breaker, true));
        assert!(!call(&breaker, false), "half of the window failed");
        assert_eq!(breaker.state(), State::Open);
        advance(Duration::from_secs(1)).await;
        let probe = breaker.permit();
        assert!(probe.is_ok());
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(breaker.permit().is_err(), "one probe at a time");
        if let Ok(probe) = probe {
            probe.succeed();
        }
        assert_eq!(breaker.state(), State::Closed);
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
            advance(Duration::from_millis(pause * 1000 - 1)).await;
            assert!(!call(&breaker, true), "open for {pause} s");
            advance(Duration::from_millis(1)).await;
            assert!(call(&breaker, true), "a probe after {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_went_away_leaves_room_for_another() {
        let breaker = breaker();
        for _ in 0..4 {
            call(&breaker, true);
        }
        advance(Duration::from_secs(1)).await;
        drop(breaker.permit());
        assert!(call(&breaker, false));
        assert!(call(&breaker, false), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_lets_one_try() {
        let breaker = strict();
        for _ in 0..3 {
            (1..5).for_each(|_| assert!(call(&breaker, true)));
            assert!(call(&breaker, false), "a success in between");
        }
        (0..5).for_each(|_| assert!(call(&breaker, true)));
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert!(breaker.permit().is_err() && breaker.state() == State::Open);
            advance(Duration::from_secs(pause)).await;
            let one = breaker.permit().unwrap();
            assert!(breaker.permit().is_err(), "the others stay out");
            one.fail();
        }
        advance(Duration::from_secs(30)).await;
        assert!(call(&breaker, false));
        assert!(breaker.permit().is_ok() && breaker.state() == State::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn only_calls_that_are_abandoned_late_have_failed() {
        let breaker = strict();
        for _ in 0..10 {
            drop(breaker.permit().unwrap());
        }
        assert_eq!(breaker.state(), State::Closed);
        for _ in 0..5 {
            let call = breaker.permit().unwrap();
            advance(Duration::from_millis(250)).await;
            drop(call);
        }
        assert_eq!(breaker.state(), State::Open);
        advance(Duration::from_secs(1)).await;
        let probe = breaker.permit().unwrap();
        advance(Duration::from_millis(250)).await;
        drop(probe);
        advance(Duration::from_millis(1_999)).await;
        assert!(breaker.permit().is_err(), "an abandoned probe has failed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_it_opened_says_nothing() {
        let breaker = strict();
        let (good, bad) = (breaker.permit().unwrap(), breaker.permit().unwrap());
        (0..5).for_each(|_| assert!(call(&breaker, true)));
        good.succeed();
        assert_eq!(breaker.state(), State::Open);
        bad.fail();
        advance(Duration::from_secs(1)).await;
        assert!(call(&breaker, false), "the pause is no longer than it was");
    }

    #[tokio::test(start_paused = true)]
    async fn who_knows_better_closes_it() {
        let breaker = strict();
        (0..5).for_each(|_| assert!(call(&breaker, true)));
        breaker.close();
        assert_eq!(breaker.state(), State::Closed);
        (0..4).for_each(|_| assert!(call(&breaker, true), "it starts to count anew"));
        assert_eq!(breaker.state(), State::Closed);
    }
}
