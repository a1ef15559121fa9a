//! Cases about futures and guards that are dropped half-way.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use async_trait::async_trait;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::{LONG, eventually, fresh_name, locks};
use crate::{Acquired, Backend, BoxError, Locks, Owner, Policy, Request};

const LOOPS: usize = 300;

/// Adds awaits before and after each call, so that a dropped future is dropped at each side of it.
#[derive(Debug)]
struct Halting(Arc<dyn Backend>);

#[async_trait]
impl Backend for Halting {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        yield_now().await;
        let answer = self.0.acquire(request).await;
        yield_now().await;
        answer
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        self.0.renew(name, owner, ttl).await
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        yield_now().await;
        let answer = self.0.release(name, owner).await;
        yield_now().await;
        answer
    }

    async fn wait(&self, name: &str, owner: Owner) {
        self.0.wait(name, owner).await;
    }
}

/// Locks whose lease never expires in a test's time: what is left behind stays.
fn lasting(backend: &Arc<dyn Backend>) -> (Locks, TaskTracker) {
    let (tracker, forever) = (TaskTracker::new(), Duration::from_hours(1));
    let policy = Policy { ttl: forever, waiter_ttl: forever, ..Policy::default() };
    (Locks::new(Arc::new(Halting(Arc::clone(backend))), tracker.clone(), policy), tracker)
}

/// Polls `future` at most `polls` times, then drops it.
async fn abandoned_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        context.waker().wake_by_ref();
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Waits for all late releases: whatever is locked after that is locked for good.
async fn settle(tracker: &TaskTracker) {
    tracker.close();
    tokio::time::timeout(Duration::from_secs(10), tracker.wait()).await.expect("late releases and renewals end");
    tracker.reopen();
}

pub async fn cancelled_acquisitions_leave_nothing(backend: Arc<dyn Backend>) {
    let ((locks, tracker), name) = (lasting(&backend), fresh_name());
    for round in 0..LOOPS {
        let polls = round % 6;
        match round % 3 {
            0 => drop(abandoned_after(polls, locks.try_lock(&name)).await),
            1 => drop(abandoned_after(polls, locks.lock(&name, LONG)).await),
            _ => drop(abandoned_after(polls, locks.lock_fair(&name, LONG)).await),
        }
    }
    settle(&tracker).await;
    let guard = locks.try_lock(&name).await.unwrap().expect("nobody holds it, nobody is in the queue");
    // The same with somebody inside, so that each would leave a waiter in the queue instead of a lease.
    for round in 0..LOOPS {
        let abandoned = abandoned_after(round % 9, locks.lock_fair(&name, LONG)).await;
        assert!(abandoned.is_none());
    }
    guard.release().await.unwrap();
    settle(&tracker).await;
    assert!(locks.try_lock(&name).await.unwrap().is_some());
}

pub async fn cancelled_releases_leave_nothing(backend: Arc<dyn Backend>) {
    let ((locks, tracker), name) = (lasting(&backend), fresh_name());
    for round in 0..LOOPS {
        let guard = locks.lock(&name, LONG).await.expect("the one before is gone");
        let lease = guard.lease();
        drop(abandoned_after(round % 6, guard.release()).await);
        assert!(lease.check().is_err());
    }
    settle(&tracker).await;
    assert!(locks.try_lock(&name).await.unwrap().is_some());
}

pub async fn dropped_guard_releases(backend: Arc<dyn Backend>) {
    let (locks, name) = (locks(&backend), fresh_name());
    let guard = locks.lock(&name, LONG).await.unwrap();
    let lease = guard.lease();
    drop(guard);
    assert!(lease.check().is_err() && lease.token().is_cancelled());
    eventually("the dropped guard's lock is free", async || locks.try_lock(&name).await.unwrap().is_some()).await;
}
