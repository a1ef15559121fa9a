//! The contract suite of lock backends over Redis and Redis Cluster, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod outages;
mod processes;
mod stored;

use std::{sync::Arc, time::Duration};

use lock::{Backend, Error, Locks, Policy};
use redis::LockBackend;
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

/// Its `host:port`.
fn address(server: &RedisServer) -> &str {
    server.url().trim_start_matches("redis://").trim_end_matches('/')
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
