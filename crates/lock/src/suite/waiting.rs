//! Cases about those who wait.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{LONG, TTL, fresh_name, locks, policy};
use crate::{Backend, Locks, Owner, Policy, Request, Waiting};

pub async fn wait_is_bounded(backend: Arc<dyn Backend>) {
    let (locks, name) = (locks(&backend), fresh_name());
    let _guard = locks.lock(&name, LONG).await.unwrap();
    let start = Instant::now();
    for fair in [false, true] {
        let wait = Duration::from_millis(50);
        let refused = if fair { locks.lock_fair(&name, wait).await } else { locks.lock(&name, wait).await };
        assert!(refused.unwrap_err().is_busy());
    }
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(locks.lock(&name, Duration::ZERO).await.unwrap_err().is_busy());
}

/// A waiter is woken by the release: polling would be far too slow here.
pub async fn waiter_is_woken(backend: Arc<dyn Backend>) {
    let slow = Duration::from_mins(1);
    let policy = Policy { ttl: slow, waiter_ttl: slow * 3, poll_interval: slow, ..policy() };
    let locks = Locks::new(backend, TaskTracker::new(), policy);
    for fair in [false, true] {
        let name = fresh_name();
        let guard = locks.lock(&name, LONG).await.unwrap();
        let holder = async {
            sleep(Duration::from_millis(50)).await;
            guard.release().await.unwrap();
        };
        let waiter = async { if fair { locks.lock_fair(&name, LONG).await } else { locks.lock(&name, LONG).await } };
        let ((), taken) = tokio::join!(holder, waiter);
        drop(taken.expect("woken by the release"));
    }
}

pub async fn fair_waiters_come_in_order(backend: Arc<dyn Backend>) {
    let (name, order) = (fresh_name(), Arc::new(Mutex::new(Vec::new())));
    let guard = locks(&backend).lock(&name, LONG).await.unwrap();
    let mut waiters = JoinSet::new();
    for number in 0..10 {
        let (locks, name, order) = (locks(&backend), name.clone(), Arc::clone(&order));
        waiters.spawn(async move {
            let guard = locks.lock_fair(&name, LONG).await.unwrap();
            order.lock().unwrap().push(number);
            guard.release().await.unwrap();
        });
        // Long enough for the last one to have asked.
        sleep(Duration::from_millis(100)).await;
    }
    guard.release().await.unwrap();
    while let Some(waiter) = waiters.join_next().await {
        waiter.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

pub async fn dead_waiter_is_passed_over(backend: Arc<dyn Backend>) {
    let (locks, name) = (locks(&backend), fresh_name());
    let guard = locks.lock(&name, LONG).await.unwrap();
    let dead = Request { name: &name, owner: Owner::random(), ttl: TTL, waiter_ttl: TTL, waiting: Waiting::Fair };
    backend.acquire(&dead).await.unwrap();
    let next = {
        let (locks, name) = (locks.clone(), name.clone());
        async move { locks.lock_fair(&name, LONG).await }
    };
    let release = async {
        sleep(Duration::from_millis(50)).await;
        guard.release().await.unwrap();
    };
    let (next, ()) = tokio::join!(next, release);
    next.expect("the dead waiter expires");
}
