//! Taking locks: once, with waiting, in line, or around a piece of work.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    backend::{Acquired, Backend, Owner, Request, Turn},
    error::Error,
    guard::{Context, Guard},
    lease::Lease,
    metrics::Metrics,
};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a lock outlives its holder's last sign of life; renewed at a third of it.
    pub ttl: Duration,
    /// How long a waiter's place outlives its last sign of life.
    pub place: Duration,
    /// The longest pause between two tries of a waiter, should a wake-up be lost.
    pub poll: Duration,
    /// The limit of one call to the backend.
    pub call_timeout: Duration,
}

impl Default for Policy {
    /// 10 s of lease, 3 s of place, a look every second, 1 s for a call.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            place: Duration::from_secs(3),
            poll: Duration::from_secs(1),
            call_timeout: Duration::from_secs(1),
        }
    }
}

/// Takes locks on one backend. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Locks(Arc<Context>);

impl Locks {
    /// Takes locks on `backend`; renewals and late releases run on `tracker`.
    pub fn new(backend: Arc<dyn Backend>, tracker: TaskTracker, policy: Policy) -> Self {
        Self(Arc::new(Context { backend, tracker, policy, metrics: Metrics::new() }))
    }

    /// Takes the lock, waiting for at most `wait`; whoever asks first after a release gets it.
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Busy`] when the wait was in vain, and the backend's errors.
    pub async fn lock(&self, name: &str, wait: Duration) -> Result<Guard, Error> {
        self.acquire(name, wait, Turn::Waiting).await
    }

    /// Takes the lock in the order of asking, waiting for at most `wait`.
    ///
    /// While somebody stands in line, [`Locks::lock`] and [`Locks::try_lock`] are refused too.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Busy`] when the wait was in vain, and the backend's errors.
    pub async fn lock_fair(&self, name: &str, wait: Duration) -> Result<Guard, Error> {
        self.acquire(name, wait, Turn::Queued).await
    }

    /// Takes the lock if it is free right now.
    ///
    /// # Errors
    ///
    /// Returns the backend's errors.
    pub async fn try_lock(&self, name: &str) -> Result<Option<Guard>, Error> {
        match self.acquire(name, Duration::ZERO, Turn::Once).await {
            Ok(guard) => Ok(Some(guard)),
            Err(Error::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runs `work` under the lock, and drops it half-way if the lock is lost.
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
        // The work is done: what is left of the lease runs out should the release fail.
        let _ = guard.release().await;
        Ok(output)
    }

    async fn acquire(&self, name: &str, wait: Duration, turn: Turn) -> Result<Guard, Error> {
        let span = tracing::info_span!("lock.acquire", lock.key = name, lock.acquired = Empty, lock.fence = Empty);
        async {
            let start = Instant::now();
            let answer = self.acquire_inner(name, wait, turn).await;
            let (acquired, outcome) = match &answer {
                Ok(_) => (true, "acquired"),
                Err(Error::Busy { .. }) => (false, "busy"),
                Err(_) => (false, "error"),
            };
            self.0.metrics.acquired(start.elapsed(), outcome);
            Span::current().record("lock.acquired", acquired);
            if let Ok(guard) = &answer {
                Span::current().record("lock.fence", guard.fence());
            }
            answer
        }
        .instrument(span)
        .await
    }

    async fn acquire_inner(&self, name: &str, wait: Duration, turn: Turn) -> Result<Guard, Error> {
        let Policy { ttl, place, poll, .. } = self.0.policy;
        let start = Instant::now();
        let mut attempt = Attempt::new(&self.0, name);
        let request = Request { name, owner: attempt.owner, ttl, place, turn };
        let mut waiting = None;
        loop {
            let sent = Instant::now();
            let retry_in = match self.ask(&request).await? {
                Acquired::Busy { retry_in } => retry_in,
                Acquired::Held { fence } => return attempt.succeed(fence, sent, ttl),
            };
            let left = wait.saturating_sub(start.elapsed());
            if turn == Turn::Once {
                attempt.armed = false;
            }
            if left.is_zero() {
                return Err(Error::Busy { name: name.to_owned() });
            }
            waiting.get_or_insert_with(|| self.0.metrics.waiter());
            // A place must be refreshed in time, and a dead holder leaves without a word.
            let pause = retry_in.min(poll).min(place / 3) + Duration::from_millis(rand::random_range(1..=5));
            let _ = timeout(pause.min(left), self.0.backend.wait(name, request.owner)).await;
        }
    }

    async fn ask(&self, request: &Request<'_>) -> Result<Acquired, Error> {
        let limit = self.0.policy.call_timeout;
        match timeout(limit, self.0.backend.acquire(request)).await {
            Ok(Ok(acquired)) => Ok(acquired),
            Ok(Err(cause)) => Err(Error::Unavailable(cause)),
            Err(_) => Err(Error::TimedOut(limit)),
        }
    }
}

/// An acquisition under way: dropped, it gives up whatever the backend may have noted.
struct Attempt<'a> {
    context: &'a Context,
    name: &'a str,
    owner: Owner,
    runtime: Handle,
    armed: bool,
}

impl<'a> Attempt<'a> {
    fn new(context: &'a Context, name: &'a str) -> Self {
        Self { context, name, owner: Owner::random(), runtime: Handle::current(), armed: true }
    }

    fn succeed(mut self, fence: i64, sent: Instant, ttl: Duration) -> Result<Guard, Error> {
        let lease = Lease::new(self.name, self.owner, fence, sent, ttl).ok_or(Error::TimedOut(ttl))?;
        self.armed = false;
        Ok(Guard::new(self.context.clone(), lease, self.runtime.clone()))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.context.release_later(&self.runtime, self.name, self.owner);
        }
    }
}
