//! What becomes of a lock when Redis loses its data, is killed, falls silent or fails over.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use lock::{Error, Locks, Policy};
use redis::{Client, Disconnected, Feed, Subscriber};
use testkit::{
    Proxy,
    servers::{Redis as RedisServer, RedisCluster},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{address, locks, open, warm};

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
    let proxy = Proxy::to(address(&old)).await;
    let locks = locks(&format!("redis://{}", proxy.address()));
    locks.lock("one", Duration::ZERO).await.unwrap().release().await.unwrap();
    old.follow(&new);
    proxy.lead_to(address(&new));
    locks.lock("two", Duration::ZERO).await.unwrap();
}

/// A host that lost its power, or a flow that the network forgot: what is sent goes nowhere, and nothing says so.
#[tokio::test]
async fn connections_that_fall_silent_are_left_at_once() {
    let Some(server) = RedisServer::alone().await else { return };
    let proxy = Proxy::to(address(&server)).await;
    let url = format!("redis://{}", proxy.address());
    let locks = Locks::new(warm(&url).await, TaskTracker::new(), Policy::default());
    join_all((0..20).map(async |n| locks.check(&n.to_string()).await.unwrap())).await;
    proxy.hush();
    testkit::eventually!(within Duration::from_secs(5), locks.lock("one", Duration::ZERO).await);
}

/// As much does a caller who gives up before Redis' own limit.
#[tokio::test]
async fn whoever_gives_up_on_a_silent_connection_does_not_leave_it_to_the_next() {
    let Some(server) = RedisServer::alone().await else { return };
    let proxy = Proxy::to(address(&server)).await;
    let url = format!("redis://{}?idle=0", proxy.address());
    let policy = Policy { call_timeout: Duration::from_millis(100), ..Policy::default() };
    let locks = Locks::new(open(&url), TaskTracker::new(), policy);
    testkit::eventually!(locks.check("one").await);
    proxy.hush();
    testkit::eventually!(within Duration::from_secs(5), locks.lock("one", Duration::ZERO).await);
}

#[derive(Debug, Default)]
struct Connections(AtomicUsize);

impl Subscriber for Connections {
    fn on_message(&self, _: &str, _: &[u8]) {}

    fn on_connected(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn on_disconnected(&self, _: Disconnected) {}
}

#[tokio::test]
async fn a_feed_that_falls_silent_is_connected_anew() {
    let Some(server) = RedisServer::alone().await else { return };
    let proxy = Proxy::to(address(&server)).await;
    let client = Client::open(&format!("redis://{}", proxy.address())).unwrap();
    let connections = Arc::<Connections>::default();
    let subscriber: Weak<dyn Subscriber> = Arc::<Connections>::downgrade(&connections);
    let _feed = Feed::start(&client, "news".to_owned(), subscriber, &TaskTracker::new(), &CancellationToken::new());
    testkit::eventually!(connections.0.load(Ordering::SeqCst) == 1);
    proxy.hush();
    testkit::eventually!(within Duration::from_secs(8), connections.0.load(Ordering::SeqCst) == 2);
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What keeps locks from being taken is in the error, whatever it is.
#[tokio::test]
async fn a_lock_that_cannot_be_taken_says_why() {
    let Some(server) = RedisServer::alone().await else { return };
    server.control(&["ACL", "SETUSER", "nobody", "reset", "on", ">secret"]);
    server.control(&["CONFIG", "SET", "requirepass", "secret"]);
    let address = address(&server);
    let why = async |url: &str| chain(&locks(url).check("one").await.unwrap_err()).to_lowercase();
    for (url, cause) in [
        (format!("redis://{address}"), "authenticat"),
        (format!("redis://:wrong@{address}"), "password authentication failed"),
        (format!("redis://nobody:secret@{address}"), "noperm"),
        ("redis://nowhere.invalid".to_owned(), "address information"),
    ] {
        let said = why(&url).await;
        assert!(said.contains(cause) && !said.contains("secret"), "{url}: {said}");
    }
    let locks = locks(&format!("redis://:secret@{address}"));
    locks.check("one").await.unwrap();
    server.pause();
    let said = chain(&locks.check("one").await.unwrap_err());
    server.resume();
    assert!(said.starts_with("lock backend failed: ") && said.contains("timed out"), "{said}");
}
