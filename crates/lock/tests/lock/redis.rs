//! The contract suite over Redis and Redis Cluster, and what only holds there.

use std::{sync::Arc, time::Duration};

use lock::{Backend, Error, Locks, Policy, Redis};
use testkit::servers::{Redis as RedisServer, RedisCluster};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn open(url: &str) -> Arc<dyn Backend> {
    Arc::new(Redis::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap())
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

/// A second process knows nothing of the first but what Redis publishes.
#[tokio::test]
async fn a_release_wakes_a_waiter_in_another_process() {
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (here, there) = (locks(&url), locks(&url));
    let policy = Policy { poll_interval: Duration::from_secs(20), waiter_ttl: Duration::from_mins(2), ..Policy::default() };
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
    let ((waited, guard), ()) = tokio::join!(waiter, releasing);
    assert!(waited < Duration::from_secs(4), "woken, not by the timer: {waited:?}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn fences_rise_after_everything_is_lost() {
    let Some(server) = RedisServer::alone().await else { return };
    let locks = locks(server.url());
    let first = locks.lock("one", Duration::ZERO).await.unwrap();
    server.flush();
    let second = locks.lock("one", Duration::ZERO).await.unwrap();
    assert!(second.fence() > first.fence());
    assert!(matches!(first.release().await, Err(Error::Lost { .. })), "and the first learns of it");
    second.check().unwrap();
}

#[tokio::test]
async fn a_killed_server_keeps_the_lock() {
    let Some(server) = RedisServer::alone().await else { return };
    let locks = locks(server.url());
    let guard = locks.lock("one", Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await; // until it is on disk
    server.kill_and_restart().await;
    assert!(locks.try_lock("one").await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(4)).await; // a renewal has come through
    guard.check().unwrap();
    let fence = guard.fence();
    guard.release().await.unwrap();
    assert!(locks.lock("one", Duration::ZERO).await.unwrap().fence() > fence);
}

/// What is promised: fences rise. That the lock itself lives on is not: the replica may not have heard of it.
#[tokio::test]
async fn fences_rise_over_the_death_of_a_master() {
    let Some(cluster) = RedisCluster::alone().await else { return };
    let url = cluster.fresh();
    let prefix = url.rsplit_once('=').unwrap().1.to_owned();
    let locks = locks(&url);
    let first = locks.lock("one", Duration::ZERO).await.unwrap();
    cluster.fail_over(&format!("{{{prefix}:lock:one}}")).await;
    let fence = first.fence();
    drop(first);
    // Those calls that meet the dead master fail.
    let again = || locks.lock("one", Duration::from_secs(1));
    let second = testkit::eventually!(within Duration::from_secs(20), again().await);
    assert!(second.fence() > fence);
}
