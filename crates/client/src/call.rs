//! One call with its deadline, retries and breaker; the same for HTTP and gRPC.

use std::{sync::Arc, time::Duration};

use resilience::{Backoff, Breaker, LastFailure, State};
use semconv::{attributes::SERVICE_PEER_NAME, metrics::CLIENT_BREAKER_OPEN};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use crate::{
    Config, Error,
    attempt::{Attempt, Peer, Protocol},
    budget::Budget,
};

/// The delay before a retry.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_secs(1));

/// What is shared by all calls to one callee.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: Arc<Peer>,
    pub(crate) config: Arc<Config>,
    budget: Arc<Budget>,
    breaker: Arc<Breaker>,
    last: Arc<LastFailure>,
}

impl Caller {
    /// Calls the service `name` at `url`.
    pub(crate) fn new(name: &'static str, url: &str, config: Config) -> Self {
        let budget = Arc::new(Budget::new(config.retry_budget));
        let breaker = Arc::new(Breaker::new((&config.breaker).into()));
        observe(name, &breaker);
        Self { peer: Peer::new(name, url), config: Arc::new(config), budget, breaker, last: Arc::default() }
    }

    /// Whether the callee is called: its breaker is not open.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.breaker.state() == State::Closed { Ok(()) } else { Err(self.not_called()) }
    }

    /// The breaker is open, and what for.
    fn not_called(&self) -> Error {
        Error::BreakerOpen { callee: self.peer.name, failure: self.last.check().err() }
    }

    /// Calls `attempt` until it succeeds, fails for good or time is up.
    pub(crate) async fn call<T, F, Fut>(&self, protocol: Protocol, idempotent: bool, attempt: F) -> Result<T, Error>
    where
        F: Fn(Arc<Attempt>) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let granted = telemetry::remaining(self.config.timeout);
        // Who leaves the callee so little time learns nothing about it that others should know.
        let hurried = granted < self.config.timeout / 2;
        let deadline = Instant::now() + granted;
        let retries = if idempotent { self.config.retries } else { 0 };
        let mut failures = 0;
        self.budget.deposit();
        loop {
            let result = self.once(protocol, deadline, hurried, &attempt).await;
            if !result.as_ref().is_err_and(Error::is_failure) || failures == retries {
                return result;
            }
            failures += 1;
            let delay = BACKOFF.delay(failures);
            if Instant::now() + delay >= deadline || !self.budget.withdraw() {
                return result;
            }
            sleep(delay).await;
        }
    }

    async fn once<T, F, Fut>(
        &self,
        protocol: Protocol,
        deadline: Instant,
        hurried: bool,
        attempt: &F,
    ) -> Result<T, Error>
    where
        F: Fn(Arc<Attempt>) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(Error::Timeout(self.peer.name));
        }
        let permit = self.breaker.permit().map_err(|_| self.not_called())?;
        let seen = Attempt::begin(protocol, &self.peer, remaining);
        let work = timeout(remaining, attempt(Arc::clone(&seen))).instrument(seen.span.clone());
        let result = work.await.unwrap_or(Err(Error::Timeout(self.peer.name)));
        seen.done(result.as_ref().err());
        match &result {
            Err(Error::Timeout(_)) if hurried => drop(permit),
            Err(error) if error.is_failure() => {
                self.last.failed(error);
                permit.fail();
            }
            _ => {
                self.last.succeeded();
                permit.succeed();
            }
        }
        result
    }
}

/// Shows the breaker's state for as long as somebody calls.
fn observe(name: &'static str, breaker: &Arc<Breaker>) {
    let breaker = Arc::downgrade(breaker);
    CLIENT_BREAKER_OPEN.observe(move |observer| {
        if let Some(breaker) = breaker.upgrade() {
            observer.observe(u64::from(breaker.state() != State::Closed), &[SERVICE_PEER_NAME.of(name)]);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use telemetry::Carrier;
    use tracing::Span;

    use super::*;

    fn caller() -> Caller {
        Caller::new("payment", "http://payment:9090", Config::default())
    }

    fn unavailable() -> Error {
        Error::Unavailable { callee: "payment", reason: "no connection".into() }
    }

    /// Calls something that fails `failures` times; returns the result and the number of attempts.
    async fn attempts(caller: &Caller, idempotent: bool, failures: u32) -> (Result<(), Error>, u32) {
        let made = AtomicU32::new(0);
        let result = caller
            .call(Protocol::Grpc, idempotent, |_| async {
                let n = made.fetch_add(1, Ordering::Relaxed);
                if n < failures { Err(unavailable()) } else { Ok(()) }
            })
            .await;
        (result, made.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_idempotent_call_is_repeated() {
        assert!(matches!(attempts(&caller(), true, 2).await, (Ok(()), 3)));
        assert!(matches!(attempts(&caller(), false, 2).await, (Err(_), 1)));
        assert!(matches!(attempts(&caller(), true, 9).await, (Err(_), 4)), "three retries at most");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_repeated() {
        let made = AtomicU32::new(0);
        let refuse = |_| async {
            made.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::Status { callee: "payment", kind: error::Kind::Invalid, message: String::new() })
        };
        assert!(caller().call(Protocol::Grpc, true, refuse).await.is_err());
        assert_eq!(made.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_bounds_retries_over_many_calls() {
        let mut config = Config::default();
        config.breaker.window = usize::MAX; // not what is tested here
        let caller = Caller::new("payment", "http://payment:9090", config);
        let mut made = 0;
        for _ in 0..100 {
            made += attempts(&caller, true, u32::MAX).await.1;
        }
        assert!((110..=130).contains(&made), "100 calls, 10 in reserve, a fifth more: {made}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_up_in_spite_of_retries() {
        let start = Instant::now();
        let result = caller().call(Protocol::Grpc, true, |_| std::future::pending::<Result<(), Error>>()).await;
        assert!(matches!(result, Err(Error::Timeout("payment"))));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_short_deadline_does_not_open_the_breaker() {
        let caller = caller();
        for _ in 0..40 {
            let deadline = Some(Instant::now() + Duration::from_millis(1));
            let call = caller.call(Protocol::Grpc, true, |_| std::future::pending::<Result<(), Error>>());
            let result = telemetry::scope(&Carrier::default(), deadline, Span::none(), call).await;
            assert!(matches!(result, Err(Error::Timeout("payment"))), "{result:?}");
        }
        assert!(matches!(attempts(&caller, true, 0).await, (Ok(()), 1)), "others call on");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_answers_at_once() {
        let caller = caller();
        for _ in 0..20 {
            let _ = attempts(&caller, false, 1).await;
        }
        let (result, made) = attempts(&caller, true, 0).await;
        let refused = error::chain(&result.unwrap_err());
        assert_eq!(made, 0);
        assert!(refused.contains("breaker is open") && refused.ends_with("no connection"), "with its cause: {refused}");
        assert!(matches!(caller.check(), Err(Error::BreakerOpen { .. })), "and whoever checks is told");
    }
}
