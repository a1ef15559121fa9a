//! Taking locks: with one attempt, by waiting, in the order of asking, or around a piece of work.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    backend::{Acquired, Backend, Owner, Request, Waiting},
    error::Error,
    guard::{Context, Guard, within},
    lease::Lease,
    metrics::Metrics,
    policy::Policy,
};

/// Takes locks on one backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Locks(Arc<Context>);

impl Locks {
    /// Takes locks on `backend`; renewals and late releases run on `tracker`.
    pub fn new(backend: Arc<dyn Backend>, tracker: TaskTracker, policy: Policy) -> Self {
        Self(Arc::new(Context { backend, tracker, policy, metrics: Metrics::new(), outage: Arc::default() }))
    }

    /// Takes the lock, waiting for at most `wait`; whoever asks first after a release gets it.
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Busy`] when the lock was not free within `wait`, and the backend's errors.
    pub async fn lock(&self, name: &str, wait: Duration) -> Result<Guard, Error> {
        self.acquire(name, wait, Waiting::Unfair).await
    }

    /// Takes the lock in the order of asking, waiting for at most `wait`.
    ///
    /// While somebody is in the queue, [`Locks::lock`] and [`Locks::try_lock`] are refused too.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Busy`] when the lock was not free within `wait`, and the backend's errors.
    pub async fn lock_fair(&self, name: &str, wait: Duration) -> Result<Guard, Error> {
        self.acquire(name, wait, Waiting::Fair).await
    }

    /// Takes the lock if it is free right now.
    ///
    /// # Errors
    ///
    /// Returns the backend's errors.
    pub async fn try_lock(&self, name: &str) -> Result<Option<Guard>, Error> {
        match self.acquire(name, Duration::ZERO, Waiting::No).await {
            Ok(guard) => Ok(Some(guard)),
            Err(Error::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether locks can be taken: takes the one of that name if it is free, and releases it.
    ///
    /// # Errors
    ///
    /// Returns the backend's errors.
    pub async fn check(&self, name: &str) -> Result<(), Error> {
        match self.try_lock(name).await? {
            Some(guard) => guard.release().await.map(drop),
            None => Ok(()),
        }
    }

    /// Runs `work` under the lock, and drops it if the lock is lost before it ends.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Lost`] when the lock was lost before `work` ended, and what [`Locks::lock`] returns.
    pub async fn run<T, F, Fut>(&self, name: &str, wait: Duration, work: F) -> Result<T, Error>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = T>,
    {
        let guard = self.lock(name, wait).await?;
        let output = tokio::select! {
            biased;
            () = guard.lost() => return Err(guard.lost_error()),
            output = work(guard.lease()) => output,
        };
        // The work is done: should the release fail, the lease expires.
        let _ = guard.release().await;
        Ok(output)
    }

    async fn acquire(&self, name: &str, wait: Duration, waiting: Waiting) -> Result<Guard, Error> {
        let span =
            within(|| tracing::info_span!("lock.acquire", lock.key = name, lock.acquired = Empty, lock.fence = Empty));
        async {
            let start = Instant::now();
            let answer = self.acquire_untraced(name, wait, waiting).await;
            let (acquired, outcome) = match &answer {
                Ok(_) => (true, "acquired"),
                Err(Error::Busy { .. }) => (false, "busy"),
                Err(_) => (false, "error"),
            };
            self.0.metrics.acquired(start.elapsed(), outcome);
            match &answer {
                Ok(_) | Err(Error::Busy { .. }) => {
                    if let Some(failures) = self.0.outage.ended() {
                        tracing::info!(failures, "locks can be taken again");
                    }
                }
                Err(error) => {
                    if let Some(failures) = self.0.outage.failed() {
                        tracing::warn!(error = error as &dyn std::error::Error, failures, "no lock can be taken");
                    }
                }
            }
            Span::current().record("lock.acquired", acquired);
            if let Ok(guard) = &answer {
                Span::current().record("lock.fence", guard.fence());
            }
            answer
        }
        .instrument(span)
        .await
    }

    async fn acquire_untraced(&self, name: &str, wait: Duration, waiting: Waiting) -> Result<Guard, Error> {
        let Policy { ttl, waiter_ttl, poll_interval, .. } = self.0.policy;
        let start = Instant::now();
        let mut attempt = Attempt::new(&self.0, name);
        let request = Request { name, owner: attempt.owner, ttl, waiter_ttl, waiting };
        let mut waiter = None;
        loop {
            // The lease counts from before the request: the backend cannot have begun it earlier.
            let sent = Instant::now();
            let retry_after = match self.call(&request).await? {
                Acquired::Busy { retry_after } => retry_after,
                Acquired::Held { fence } => return attempt.succeed(fence, sent, ttl),
            };
            let left = wait.saturating_sub(start.elapsed());
            // One attempt leaves no waiter behind, so there is nothing to release.
            if waiting == Waiting::No {
                attempt.release_on_drop = false;
            }
            if left.is_zero() {
                return Err(Error::Busy { name: name.to_owned() });
            }
            waiter.get_or_insert_with(|| self.0.metrics.waiter());
            // In time to stay in the queue, and to find out about a holder that died and notifies nobody.
            let pause =
                retry_after.min(poll_interval).min(waiter_ttl / 3) + Duration::from_millis(rand::random_range(1..=5));
            let _ = timeout(pause.min(left), self.0.backend.wait(name, request.owner)).await;
        }
    }

    async fn call(&self, request: &Request<'_>) -> Result<Acquired, Error> {
        let limit = self.0.policy.call_timeout;
        match timeout(limit, self.0.backend.acquire(request)).await {
            Ok(Ok(acquired)) => Ok(acquired),
            Ok(Err(cause)) => Err(Error::Unavailable(cause)),
            Err(_) => Err(Error::TimedOut(limit)),
        }
    }
}

/// An acquisition in progress: dropped, it releases whatever the backend may have stored for its owner.
struct Attempt<'a> {
    context: &'a Context,
    name: &'a str,
    owner: Owner,
    runtime: Handle,
    release_on_drop: bool,
}

impl<'a> Attempt<'a> {
    fn new(context: &'a Context, name: &'a str) -> Self {
        Self { context, name, owner: Owner::random(), runtime: Handle::current(), release_on_drop: true }
    }

    fn succeed(mut self, fence: i64, sent: Instant, ttl: Duration) -> Result<Guard, Error> {
        let lease = Lease::new(self.name, self.owner, fence, sent, ttl).ok_or(Error::TimedOut(ttl))?;
        self.release_on_drop = false;
        Ok(Guard::new(self.context.clone(), lease, self.runtime.clone()))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.release_on_drop {
            self.context.release_in_background(&self.runtime, self.name, self.owner);
        }
    }
}
