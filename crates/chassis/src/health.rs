//! Whether the process can do its work.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use opentelemetry::metrics::Gauge;
use resilience::Outage;
use semconv::{attributes::DEPENDENCY, metrics::DEPENDENCY_UP};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

/// A check that has not answered by then has failed.
const LIMIT: Duration = Duration::from_secs(1);

static UP: LazyLock<Gauge<u64>> = LazyLock::new(|| DEPENDENCY_UP.instrument());

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Ask = Box<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// The checks of what the process works with: readiness depends on what no request can do without, and the rest is shown.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<Arc<Check>>,
    stopping: Arc<AtomicBool>,
}

struct Check {
    name: &'static str,
    may_be_away: bool,
    ask: Ask,
    outage: Outage,
}

impl Health {
    /// No checks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds something that no request can do without: while `check` of it fails, the process is not ready. Its error and
    /// the causes of that are shown to whoever may reach the admin port.
    #[must_use]
    pub fn check<T, F, Fut, E>(self, name: &'static str, of: T, check: F) -> Self
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.with(name, false, move || check(of.clone()))
    }

    /// Adds something without which requests are answered all the same: while `check` of it fails, it is shown as
    /// `degraded`, and the process is ready.
    #[must_use]
    pub fn may_be_away<T, F, Fut, E>(self, name: &'static str, of: T, check: F) -> Self
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.with(name, true, move || check(of.clone()))
    }

    fn with<F, Fut, E>(mut self, name: &'static str, may_be_away: bool, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let ask = move || -> BoxFuture<'static, _> {
            let outcome = check();
            Box::pin(async move { outcome.await.map_err(Into::into) })
        };
        self.checks.push(Arc::new(Check { name, may_be_away, ask: Box::new(ask), outage: Outage::default() }));
        self
    }

    /// From now on not ready, whatever the checks say.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Runs all checks at once.
    pub(crate) async fn report(&self) -> Report<'_> {
        let outcomes = join_all(self.checks.iter().map(|check| async move {
            let outcome = timeout(LIMIT, (check.ask)()).await;
            (&**check, outcome.unwrap_or_else(|_| Err(format!("no answer in {LIMIT:?}").into())))
        }))
        .await;
        Report { outcomes, stopping: self.stopping.load(Ordering::Relaxed) }
    }
}

/// What the checks have said.
pub(crate) struct Report<'a> {
    outcomes: Vec<(&'a Check, Result<(), BoxError>)>,
    stopping: bool,
}

impl Report<'_> {
    /// Whether requests are answered.
    pub(crate) fn is_ready(&self) -> bool {
        !self.stopping && self.outcomes.iter().all(|(check, outcome)| outcome.is_ok() || check.may_be_away)
    }

    /// The document to show.
    pub(crate) fn document(&self) -> Value {
        let shown = |(check, outcome): &(&Check, Result<(), BoxError>)| {
            let value = match outcome {
                Ok(()) => json!({"status": "ready"}),
                Err(error) => json!({"status": check.failed(), "detail": error::chain(&**error)}),
            };
            (check.name.to_owned(), value)
        };
        let checks: Map<String, Value> = self.outcomes.iter().map(shown).collect();
        json!({"status": if self.is_ready() { "ready" } else { "not_ready" }, "checks": checks})
    }

    /// Measures each check, and logs the beginning and the end of an outage, and now and then that it goes on.
    pub(crate) fn note(&self) {
        for (check, outcome) in &self.outcomes {
            UP.record(u64::from(outcome.is_ok()), &[DEPENDENCY.of(check.name)]);
            match outcome {
                Ok(()) => {
                    if check.outage.ended().is_some() {
                        tracing::info!(dependency = check.name, "a dependency can be used again");
                    }
                }
                Err(error) => {
                    if check.outage.failed().is_some() {
                        let (error, status): (&dyn std::error::Error, _) = (&**error, check.failed());
                        tracing::warn!(dependency = check.name, error, "a dependency cannot be used: {status}");
                    }
                }
            }
        }
    }
}

impl Check {
    /// The status of the process while this fails.
    fn failed(&self) -> &'static str {
        if self.may_be_away { "degraded" } else { "not_ready" }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| check.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_ready_is_said_with_its_cause() {
        let silent = || anyhow::anyhow!("connection refused").context("the database does not answer");
        let health = Health::new().check("database", (), move |()| async move { Err(silent()) });
        let report = health.report().await;
        assert!(!report.is_ready());
        let detail = &report.document()["checks"]["database"]["detail"];
        assert_eq!(detail, "the database does not answer: connection refused");
    }

    #[tokio::test]
    async fn what_may_be_away_is_shown_and_keeps_nobody_out() {
        let health = Health::new().may_be_away("bus", (), async |()| Err("connection refused"));
        let report = health.report().await;
        assert!(report.is_ready());
        let bus = json!({"status": "degraded", "detail": "connection refused"});
        assert_eq!(report.document(), json!({"status": "ready", "checks": {"bus": bus}}));
    }
}
