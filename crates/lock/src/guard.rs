//! A held lock: kept alive in the background, released explicitly or on drop.

use std::{ops::Deref, sync::Arc, time::Duration};

use resilience::Outage;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span};

use crate::{
    backend::{Backend, Owner},
    error::Error,
    lease::Lease,
    metrics::Metrics,
    policy::Policy,
};

/// What taking, keeping and releasing a lock needs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) tracker: TaskTracker,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    pub(crate) outage: Arc<Outage>,
}

impl Context {
    /// Releases what `owner` may have, in the background; without a runtime the lease expires.
    pub(crate) fn release_in_background(&self, runtime: &Handle, name: &str, owner: Owner) {
        let (context, name) = (self.clone(), name.to_owned());
        let _detached = self.tracker.spawn_on(
            // Part of what held the lock.
            async move {
                let _ = context.release(&name, owner).await;
            }
            .in_current_span(),
            runtime,
        );
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, Error> {
        let limit = self.policy.call_timeout;
        let span = within(|| tracing::info_span!("lock.release", lock.key = name));
        async {
            match timeout(limit, self.backend.release(name, owner)).await {
                Ok(Ok(held)) => Ok(held),
                Ok(Err(cause)) => Err(Error::Unavailable(cause)),
                Err(_) => Err(Error::TimedOut(limit)),
            }
            .inspect_err(|error| tracing::debug!(%error, "lock not released; its lease expires"))
        }
        .instrument(span)
        .await
    }
}

/// A span only where there is something that it is part of: what polls and what checks do so for ever.
pub(crate) fn within(span: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() { Span::none() } else { span() }
}

/// A lock that is held until it is released, dropped or lost.
///
/// Derefs to its [`Lease`]: `guard.fence()`, `guard.check()?`, `guard.lost().await`, `guard.token()`.
/// Dropping it releases in the background; [`Guard::release`] waits for it.
#[derive(Debug)]
pub struct Guard {
    context: Context,
    lease: Lease,
    renewal: Option<Renewal>,
    runtime: Handle,
}

#[derive(Debug)]
struct Renewal {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Renewal {
    /// Ends the renewal and waits for its end, so that nothing renews after the release.
    async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

impl Guard {
    pub(crate) fn new(context: Context, lease: Lease, runtime: Handle) -> Self {
        let stop = CancellationToken::new();
        let renewal = renew_until_stopped(context.clone(), lease.clone(), stop.clone());
        let task = context.tracker.spawn_on(renewal, &runtime);
        Self { context, lease, renewal: Some(Renewal { stop, task }), runtime }
    }

    /// The lease, to be passed to the work under the lock.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// Releases the lock and waits until it is released.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Lost`] when the lock was not held to the end, and the backend's errors;
    /// in each case the lock is free at the latest when the lease expires.
    pub async fn release(mut self) -> Result<(), Error> {
        let held = self.lease.check();
        let Some(renewal) = self.renewal.take() else { return held };
        // Should this future be dropped at one of the awaits below.
        let pending = PendingRelease { guard: &self, done: false };
        // A renewal that arrives after the release does not bring the lock back, but would be counted as a loss.
        renewal.stop().await;
        let released = self.context.release(self.lease.name(), self.lease.owner()).await;
        pending.finish();
        held?;
        if released? { Ok(()) } else { Err(self.lease.lost_error()) }
    }

    fn end(&self) {
        self.lease.end();
        self.context.metrics.held(self.lease.held_for());
    }
}

impl Deref for Guard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(renewal) = self.renewal.take() else { return };
        self.end();
        // A renewal compares the owner, so one that is on its way cannot bring the lock back.
        renewal.stop.cancel();
        self.context.release_in_background(&self.runtime, self.lease.name(), self.lease.owner());
    }
}

/// A release in progress, finished in the background when its future is dropped.
struct PendingRelease<'a> {
    guard: &'a Guard,
    done: bool,
}

impl PendingRelease<'_> {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for PendingRelease<'_> {
    fn drop(&mut self) {
        self.guard.end();
        if !self.done {
            let Guard { context, lease, runtime, .. } = self.guard;
            context.release_in_background(runtime, lease.name(), lease.owner());
        }
    }
}

/// Renews the lease every third of its length, until it is stopped or the lease has ended.
async fn renew_until_stopped(context: Context, lease: Lease, stop: CancellationToken) {
    let ttl = context.policy.ttl;
    let over = lease.token();
    let mut pause = jittered(ttl / 3);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = over.cancelled() => return,
            () = lease.lost() => return context.metrics.lost(),
            () = tokio::time::sleep(pause) => {}
        }
        // The new deadline counts from before the request: the backend cannot have begun its own earlier.
        let sent = Instant::now();
        let limit = context.policy.call_timeout.min(lease.valid_until().saturating_duration_since(sent));
        let call = timeout(limit, context.backend.renew(lease.name(), lease.owner(), ttl));
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            answer = call => answer,
        };
        match answer {
            Ok(Ok(true)) => {
                lease.extend(sent, ttl);
                pause = jittered(ttl / 3);
            }
            // Somebody else may hold it by now; waiting for the deadline would only hide that.
            Ok(Ok(false)) => {
                lease.end();
                return context.metrics.lost();
            }
            Ok(Err(_)) | Err(_) => {
                // Soon again: it may have been renewed or not, and until the deadline there is time for another attempt.
                context.metrics.renew_failed();
                pause = jittered(ttl / 20);
            }
        }
    }
}

/// Up to a tenth less, so that renewals that began together spread out.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.9..=1.0))
}
