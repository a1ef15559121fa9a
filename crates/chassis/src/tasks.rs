//! Background work that belongs to the process: nothing is spawned outside, nothing dies unseen.

use std::panic::AssertUnwindSafe;

use anyhow::anyhow;
use futures::FutureExt as _;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The process' tasks. A task that ends before it is told to stops the process with an error.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
    streams: CancellationToken,
    failure: watch::Sender<Option<String>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            streams: CancellationToken::new(),
            failure: watch::Sender::new(None),
        }
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until [`Tasks::token`] is cancelled. Ending earlier, an error or a panic stops the process.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (token, failure) = (self.token.clone(), self.failure.clone());
        self.tracker.spawn(async move {
            let cause = match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) if token.is_cancelled() => return,
                Ok(Ok(())) => anyhow!("it ended by itself"),
                Ok(Err(error)) => error,
                Err(panic) => anyhow!("it panicked: {}", panic_message(&*panic)),
            };
            failure.send_if_modified(|first| {
                let news = first.is_none();
                first.get_or_insert_with(|| format!("task {name}: {cause:#}"));
                news
            });
        });
    }

    /// Cancelled when tasks have to finish what they have begun and end.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Cancelled when responses have to end that would not end by themselves: no new connections are made then, and the
    /// open ones are awaited.
    pub fn streams(&self) -> CancellationToken {
        self.streams.clone()
    }

    /// For libraries that spawn by themselves.
    pub fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }

    /// Waits for the first task that ends before its time.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        // Cloned first: the guard must not live over the await below, or no `run` could be spawned.
        let cause = failure.wait_for(Option::is_some).await.map(|cause| cause.clone());
        match cause {
            Ok(cause) => cause.unwrap_or_default(),
            Err(_) => std::future::pending().await, // cannot be: we hold a sender
        }
    }

    /// Tells all tasks to end and waits for them.
    pub(crate) async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_early_is_a_failure() {
        for (n, expected) in [(0, "ended by itself"), (1, "disk is full"), (2, "panicked: boom")] {
            let tasks = Tasks::new();
            tasks.spawn("relay", async move {
                match n {
                    0 => Ok(()),
                    1 => Err(anyhow!("disk is full")),
                    _ => panic!("boom"),
                }
            });
            let failure = tasks.failed().await;
            assert!(failure.starts_with("task relay") && failure.contains(expected), "{failure}");
        }
    }

    #[tokio::test]
    async fn stopping_waits_for_what_was_begun() {
        let tasks = Tasks::new();
        let token = tasks.token();
        let (done, saw) = tokio::sync::oneshot::channel();
        tasks.spawn("relay", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            done.send(()).map_err(|()| anyhow!("nobody waits"))
        });
        tasks.stop().await;
        assert!(saw.await.is_ok());
        assert!(tasks.failed().now_or_never().is_none());
    }
}
