//! What becomes of a lock when Redis loses its data, is killed or fails over.

use std::time::Duration;

use lock::{Error, Locks, Policy};
use testkit::{
    Proxy,
    servers::{Redis as RedisServer, RedisCluster},
};
use tokio_util::task::TaskTracker;

use crate::{locks, open};

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

/// Whoever has the lock keeps it, and releases it; nobody gets a new one, and says why.
#[tokio::test]
async fn a_held_lock_lasts_while_memory_is_full() {
    let Some(server) = RedisServer::alone().await else { return };
    let policy = Policy { ttl: Duration::from_secs(2), ..Policy::default() };
    let locks = Locks::new(open(server.url()), TaskTracker::new(), policy);
    let guard = locks.lock("one", Duration::ZERO).await.unwrap();
    server.fill_up();
    let Err(Error::Unavailable(cause)) = locks.check("two").await else { panic!("there is no room for it") };
    assert!(cause.source().unwrap().to_string().contains("OOM"), "{cause:?}");
    tokio::time::sleep(Duration::from_secs(4)).await; // twice the lease
    guard.check().unwrap();
    guard.release().await.unwrap();
}

/// What is promised: fences rise. That the lock itself lives on is not: the replica may not know of it.
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

/// Connections to a server that follows another by now are not kept: its address leads to the one to write to.
#[tokio::test]
async fn a_demoted_server_is_left_at_once() {
    let (Some(old), Some(new)) = (RedisServer::alone().await, RedisServer::alone().await) else { return };
    let address = |server: &RedisServer| server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let proxy = Proxy::to(&address(&old)).await;
    let locks = locks(&format!("redis://{}", proxy.address()));
    locks.lock("one", Duration::ZERO).await.unwrap().release().await.unwrap();
    old.follow(&new);
    proxy.lead_to(&address(&new));
    locks.lock("two", Duration::ZERO).await.unwrap();
}
