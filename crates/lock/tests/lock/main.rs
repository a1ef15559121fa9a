//! The contract suite over `memory:`, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{sync::Arc, time::Duration};

use lock::{Acquired, Backend, BoxError, Error, Locks, Memory, Owner, Policy, Request, Waiting};
use tokio::time::{Instant, advance};
use tokio_util::task::TaskTracker;

mod contract {
    use std::sync::Arc;

    testkit::suite! { lock::suite, Arc::new(lock::Memory::new(clock::system())) }
}

fn memory() -> (Arc<Memory>, Locks, TaskTracker) {
    let (memory, tracker) = (Arc::new(Memory::new(clock::system())), TaskTracker::new());
    let locks = Locks::new(Arc::clone(&memory) as Arc<dyn Backend>, tracker.clone(), Policy::default());
    (memory, locks, tracker)
}

async fn ended(tracker: &TaskTracker) {
    tracker.close();
    tokio::time::timeout(Duration::from_secs(5), tracker.wait()).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_locks_leave_nothing_behind() {
    let (memory, locks, tracker) = memory();
    for number in 0..10_000_u32 {
        let name = format!("{}", number % 100);
        let guard = locks.lock(&name, Duration::ZERO).await;
        if number % 2 == 0 {
            guard.unwrap().release().await.unwrap();
        } else {
            drop(guard);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
    }
    ended(&tracker).await;
    assert!(memory.is_empty(), "{} names are left", memory.len());
}

#[tokio::test(start_paused = true)]
async fn leases_that_ran_out_are_forgotten() {
    let (memory, _, _) = memory();
    for number in 0..10_000_u32 {
        let request = Request {
            name: &number.to_string(),
            owner: Owner::random(),
            ttl: Duration::from_secs(1),
            waiter_ttl: Duration::from_secs(1),
            waiting: Waiting::No,
        };
        memory.acquire(&request).await.unwrap();
        advance(Duration::from_millis(10)).await;
    }
    assert!(memory.len() < 1000, "{} names are left", memory.len());
}

/// A backend that takes locks and never answers a renewal.
#[derive(Debug)]
struct Deaf(Memory);

#[async_trait::async_trait]
impl Backend for Deaf {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        self.0.acquire(request).await
    }

    async fn renew(&self, _: &str, _: Owner, _: Duration) -> Result<bool, BoxError> {
        std::future::pending().await
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        self.0.release(name, owner).await
    }

    async fn wait(&self, name: &str, owner: Owner) {
        self.0.wait(name, owner).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_comes_a_hundredth_before_the_lease_ends() {
    let deaf = Arc::new(Deaf(Memory::new(clock::system())));
    let locks = Locks::new(Arc::clone(&deaf) as Arc<dyn Backend>, TaskTracker::new(), Policy::default());
    let asked = Instant::now();
    let guard = locks.lock("one", Duration::ZERO).await.unwrap();
    guard.lost().await;
    let after = asked.elapsed();
    assert!(after >= Duration::from_millis(9_890) && after < Duration::from_millis(9_900), "{after:?}");
    assert!(matches!(guard.check(), Err(Error::Lost { .. })));
    assert!(locks.try_lock("one").await.unwrap().is_none(), "the backend's lease still stands");
}

#[derive(Debug)]
struct Fixed(time::OffsetDateTime);

impl clock::Clock for Fixed {
    fn now(&self) -> time::OffsetDateTime {
        self.0
    }
}

#[tokio::test]
async fn fences_rise_over_a_restart() {
    let mut last = 0;
    for micros in [1, 2, 1_000_000_000_000_000] {
        let time = Fixed(clock::from_micros(micros));
        let locks = Locks::new(Arc::new(Memory::new(Arc::new(time))), TaskTracker::new(), Policy::default());
        let guard = locks.lock("one", Duration::ZERO).await.unwrap();
        assert!(guard.fence() > last);
        last = guard.fence();
    }
}
