//! Whether the process can do its work.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

/// A check that has not answered by then has failed.
const LIMIT: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// The checks on which readiness depends: only what a request cannot do without.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
    stopping: Arc<AtomicBool>,
}

impl Health {
    /// No checks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check; its error and the causes of that are shown to whoever may reach the admin port.
    #[must_use]
    pub fn check<F, Fut, E>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let check = move || -> BoxFuture<'static, _> {
            let outcome = check();
            Box::pin(async move { outcome.await.map_err(Into::into) })
        };
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// From now on not ready, whatever the checks say.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Runs all checks at once: whether ready, and the document to show.
    pub(crate) async fn report(&self) -> (bool, Value) {
        let outcomes = join_all(self.checks.iter().map(|(name, check)| async move {
            let outcome =
                timeout(LIMIT, check()).await.unwrap_or_else(|_| Err(format!("no answer in {LIMIT:?}").into()));
            (*name, outcome)
        }))
        .await;
        let healthy = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let ready = healthy && !self.stopping.load(Ordering::Relaxed);
        let shown = |(name, outcome): (&str, Result<(), BoxError>)| {
            let value = match outcome {
                Ok(()) => json!({"status": "ready"}),
                Err(error) => json!({"status": "not_ready", "detail": error::chain(&*error)}),
            };
            (name.to_owned(), value)
        };
        let checks: Map<String, Value> = outcomes.into_iter().map(shown).collect();
        (ready, json!({"status": if ready { "ready" } else { "not_ready" }, "checks": checks}))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_ready_is_said_with_its_cause() {
        let silent = || anyhow::anyhow!("connection refused").context("the database does not answer");
        let health = Health::new().check("database", move || async move { Err(silent()) });
        let (ready, report) = health.report().await;
        assert!(!ready);
        assert_eq!(report["checks"]["database"]["detail"], "the database does not answer: connection refused");
    }
}
