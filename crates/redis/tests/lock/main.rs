//! The contract suite of lock backends over Redis and Redis Cluster, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod outages;
mod processes;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use lock::{Acquired, Backend, Error, Locks, Owner, Policy, Request, Waiting};
use redis::{Client, LockBackend, Script};
use testkit::servers::{Redis as RedisServer, RedisCluster};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn open(url: &str) -> Arc<dyn Backend> {
    Arc::new(LockBackend::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap())
}

/// With connections that this runtime has opened: those of a runtime that a case freezes would freeze with it.
async fn warm(url: &str) -> Arc<dyn Backend> {
    let backend = open(url);
    tokio::time::sleep(Duration::from_millis(500)).await;
    backend
}

fn locks(url: &str) -> Locks {
    Locks::new(open(url), TaskTracker::new(), Policy::default())
}

mod single {
    use super::{RedisServer, warm};

    testkit::suite! { lock::suite, match RedisServer::shared().await {
        Some(server) => warm(&server.fresh()).await,
        None => return,
    } }
}

mod cluster {
    use super::{RedisCluster, warm};

    testkit::suite! { lock::suite, match RedisCluster::shared().await {
        Some(cluster) => warm(&cluster.fresh()).await,
        None => return,
    } }
}

/// A lease and a wait that were stored while the server's clock was an hour ahead.
#[tokio::test]
async fn what_lies_too_far_ahead_is_over() {
    static AHEAD: LazyLock<Script> = LazyLock::new(|| {
        Script::new(
            "local ahead = redis.call('TIME')[1] * 1000 + 3600000
            redis.call('HSET', KEYS[1], 'u', string.format('%.0f', ahead))
            for _, waiter in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
                redis.call('HSET', KEYS[3], waiter, string.format('%.0f', ahead) .. ' gone')
            end
            return redis.call('ZCARD', KEYS[2])",
        )
    });
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (backend, client) = (open(&url), Client::open(&url).unwrap());
    let request = |waiting| Request {
        name: "one",
        owner: Owner::random(),
        ttl: Duration::from_secs(5),
        waiter_ttl: Duration::from_secs(3),
        waiting,
    };
    let Acquired::Held { fence } = backend.acquire(&request(Waiting::No)).await.unwrap() else { panic!("it is free") };
    assert!(matches!(backend.acquire(&request(Waiting::Fair)).await.unwrap(), Acquired::Busy { .. }));
    let key = format!("{{{}:lock:one}}", client.prefix());
    let keys = [key.as_str(), &format!("{key}:line"), &format!("{key}:waiters")];
    assert_eq!(client.eval::<i64>(&AHEAD, &keys, &[]).await.unwrap(), 1);
    let next = backend.acquire(&request(Waiting::No)).await.unwrap();
    assert!(matches!(next, Acquired::Held { fence: higher } if higher > fence), "{next:?}");
}

/// A second process knows nothing of the first but what Redis publishes.
#[tokio::test]
async fn a_release_wakes_a_waiter_in_another_process() {
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (here, there) = (locks(&url), locks(&url));
    let policy =
        Policy { poll_interval: Duration::from_secs(20), waiter_ttl: Duration::from_mins(2), ..Policy::default() };
    let waiting = Locks::new(open(&url), TaskTracker::new(), policy);
    // Its feed is connected once it has been woken.
    let guard = here.lock("one", Duration::ZERO).await.unwrap();
    let waiter = async {
        let started = tokio::time::Instant::now();
        let guard = waiting.lock("one", Duration::from_secs(30)).await.unwrap();
        (started.elapsed(), guard)
    };
    let releasing = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(matches!(there.lock("one", Duration::ZERO).await, Err(Error::Busy { .. })));
        guard.release().await.unwrap();
    };
    let ((elapsed, guard), ()) = tokio::join!(waiter, releasing);
    assert!(elapsed < Duration::from_secs(4), "woken, not by the timer: {elapsed:?}");
    guard.release().await.unwrap();
}
