//! The contract suite over `memory:`, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lock::{Acquired, Backend, BoxError, Error, Locks, Memory, Owner, Policy, Request, Waiting};
use tokio::time::{Instant, advance};
use tokio_util::task::TaskTracker;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

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

/// A backend that refuses everything.
#[derive(Debug)]
struct Refusing;

#[async_trait::async_trait]
impl Backend for Refusing {
    async fn acquire(&self, _: &Request<'_>) -> Result<Acquired, BoxError> {
        Err("wrong password".into())
    }

    async fn renew(&self, _: &str, _: Owner, _: Duration) -> Result<bool, BoxError> {
        Err("wrong password".into())
    }

    async fn release(&self, _: &str, _: Owner) -> Result<bool, BoxError> {
        Err("wrong password".into())
    }

    async fn wait(&self, _: &str, _: Owner) {}
}

/// Keeps the causes of the errors in warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Visit for Warnings {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_error(&mut self, _: &Field, error: &(dyn std::error::Error + 'static)) {
        self.0.lock().unwrap().push(error.source().unwrap().to_string());
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// At once and then at intervals that double, and not by each of those who find out.
#[tokio::test(start_paused = true)]
async fn a_backend_that_refuses_is_said_with_its_cause() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let locks = Locks::new(Arc::new(Refusing), TaskTracker::new(), Policy::default());
    let said = || warnings.0.lock().unwrap().len();
    for (until, wanted) in [(0, 1), (1, 2), (3, 3), (7, 4), (15, 5), (31, 6)] {
        for _ in 0..3 {
            assert!(matches!(locks.lock("one", Duration::from_secs(9)).await, Err(Error::Unavailable(_))));
        }
        assert!(locks.check("ready").await.is_err());
        assert_eq!(said(), wanted, "after {until} s");
        advance(Duration::from_secs(until + 1)).await;
    }
    assert_eq!(warnings.0.lock().unwrap()[0], "wrong password");
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
