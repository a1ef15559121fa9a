//! The contract suite of cache stores over Redis and Redis Cluster, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod fuzz;
mod outages;
mod processes;
mod stored;

use std::{sync::Arc, time::Duration};

use cache::{Cache, Policy, Store};
use redis::CacheStore;
use testkit::servers::{Redis as RedisServer, RedisCluster};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

fn open(url: &str) -> Arc<dyn Store> {
    Arc::new(CacheStore::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap())
}

mod single {
    use super::{RedisServer, open};

    testkit::suite! { cache::suite, match RedisServer::shared().await {
        Some(server) => open(&server.fresh()),
        None => return,
    } }
}

mod cluster {
    use super::{RedisCluster, open};

    testkit::suite! { cache::suite, match RedisCluster::shared().await {
        Some(cluster) => open(&cluster.fresh()),
        None => return,
    } }
}

fn cache(url: &str) -> Cache<u64, u64> {
    Cache::new("test", open(url), Policy { early_refresh: 0.0, ..Policy::default() })
}

async fn read(cache: &Cache<u64, u64>, value: u64) -> u64 {
    cache.get_or_load(&1, |version| *version, || async { Ok::<_, std::io::Error>(Some(value)) }).await.unwrap().unwrap()
}

/// Two processes: what one writes soon leaves the local memory of the other.
#[tokio::test]
async fn a_write_here_is_read_there() {
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (here, there) = (cache(&url), cache(&url));
    sleep(Duration::from_millis(500)).await; // both feeds are connected
    for version in 1..=20 {
        assert_eq!(read(&there, version).await, version);
        assert_eq!(there.get(&1).await, Some(version), "local");
        if version % 2 == 0 {
            here.invalidate(&1).await;
            testkit::eventually!(there.get(&1).await.is_none());
        } else {
            here.put(&1, Some(&(version + 1)), version + 1).await;
            testkit::eventually!(there.get(&1).await == Some(version + 1));
            here.invalidate(&1).await;
            testkit::eventually!(there.get(&1).await.is_none());
        }
    }
}
