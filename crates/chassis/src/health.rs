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

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

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

    /// Adds a check; its error is shown to whoever may reach the admin port.
    #[must_use]
    pub fn check<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// From now on not ready, whatever the checks say.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Runs all checks at once: whether ready, and the document to show.
    pub(crate) async fn report(&self) -> (bool, Value) {
        let outcomes = join_all(self.checks.iter().map(|(name, check)| async move {
            let outcome = timeout(LIMIT, check()).await.unwrap_or_else(|_| Err(format!("no answer in {LIMIT:?}")));
            (*name, outcome)
        }))
        .await;
        let healthy = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let ready = healthy && !self.stopping.load(Ordering::Relaxed);
        let shown = |(name, outcome): (&str, Result<(), String>)| {
            let value = match outcome {
                Ok(()) => json!({"status": "ready"}),
                Err(detail) => json!({"status": "not_ready", "detail": detail}),
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
