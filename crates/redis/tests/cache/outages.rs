//! Redis goes down and comes back.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cache::{Cache, Policy};
use futures::future::join_all;
use testkit::{Proxy, servers::Redis as RedisServer};
use tokio::time::{Instant, sleep};

use crate::{cache, open, read};

/// While Redis is down loaders answer; what was written meanwhile is not undone by what it kept.
#[tokio::test]
async fn writes_while_redis_is_down_count_when_it_is_back() {
    let Some(server) = RedisServer::alone().await else { return };
    let url = server.fresh();
    let (here, there) = (cache(&url), cache(&url));
    assert_eq!(read(&here, 1).await, 1);
    assert_eq!(read(&there, 9).await, 1, "shared");
    sleep(Duration::from_millis(1_200)).await; // on disk
    server.kill();
    here.put(&1, Some(&2), 2).await;
    assert_eq!(read(&here, 2).await, 2, "not the local value");
    server.restart().await;
    testkit::eventually!(read(&here, 2).await == 2 && read(&there, 2).await == 2);
    for _ in 0..50 {
        assert_eq!((read(&here, 2).await, read(&there, 2).await), (2, 2), "and never the old one again");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Other processes serve what was before the writes that Redis was not told of; over a slow network not for long either.
#[tokio::test]
async fn many_writes_while_redis_is_away_are_soon_made_up_for() {
    const KEYS: u64 = 500;
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let proxy = Proxy::to(server.url().trim_start_matches("redis://")).await;
    let (here, there) = (cache(&url.replace(server.url(), &format!("redis://{}", proxy.address()))), cache(&url));
    let load = || async { Ok::<_, std::io::Error>(Some(1)) };
    for key in 0..KEYS {
        there.get_or_load(&key, |version| *version, load).await.unwrap();
    }
    let stale = || async {
        let known = join_all((0..KEYS).map(async |key| there.get(&key).await)).await;
        known.into_iter().filter(|known| *known == Some(1)).count()
    };
    assert_eq!(stale().await, 500);
    proxy.cut();
    for key in 0..KEYS {
        here.put(&key, Some(&2), 2).await;
    }
    assert_eq!(stale().await, 500, "nobody knows");
    proxy.delay(Duration::from_millis(100));
    proxy.restore();
    // One after the other they would take most of a minute.
    testkit::eventually!(within Duration::from_secs(20), stale().await == 0);
}

/// Of the writes that are made up for, one that Redis refuses for good holds up no other.
#[tokio::test]
async fn a_write_that_is_refused_for_good_holds_up_no_other() {
    let Some(server) = RedisServer::alone().await else { return };
    // Not for key 9.
    let keys = ["~shop:cache:epoch", "~{shop:cache:0:test:1*", "~{shop:cache:0:test:2*"];
    server.control(&[&["ACL", "SETUSER", "shop", "on", ">secret", "+@all", "&*"], &keys[..]].concat());
    let proxy = Proxy::to(server.url().trim_start_matches("redis://").trim_end_matches('/')).await;
    let here = cache(&format!("redis://shop:secret@{}?prefix=shop", proxy.address()));
    let there = cache(&format!("{}?prefix=shop", server.url()));
    let load = || async { Ok::<_, std::io::Error>(Some(1)) };
    for key in 100..300 {
        there.get_or_load(&key, |version| *version, load).await.unwrap();
    }
    sleep(Duration::from_millis(500)).await; // the feeds are connected
    proxy.cut();
    for key in [9].into_iter().chain(100..300) {
        here.put(&key, Some(&2), 2).await;
    }
    proxy.restore();
    let stale = || async {
        let known = join_all((100..300).map(async |key| there.get(&key).await)).await;
        known.into_iter().filter(|known| *known == Some(1)).count()
    };
    testkit::eventually!(stale().await == 0);
}

/// The last local value serves when neither Redis nor the loader answers.
#[tokio::test]
async fn the_last_known_value_serves_when_nobody_answers() {
    let Some(server) = RedisServer::alone().await else { return };
    let cache = cache(&server.fresh());
    assert_eq!(read(&cache, 1).await, 1);
    sleep(Duration::from_secs(1)).await; // its feed is connected by now, which has cleared what was local before
    assert_eq!(read(&cache, 1).await, 1);
    server.kill();
    sleep(Duration::from_secs(8)).await; // longer than local values are trusted
    let failed = || async { Err::<Option<u64>, _>(std::io::Error::other("down")) };
    assert_eq!(cache.get_or_load(&1, |version| *version, failed).await.unwrap(), Some(1));
    assert!(cache.get_or_load(&2, |version| *version, failed).await.is_err(), "of another nothing is known");
    assert_eq!(read(&cache, 3).await, 3, "the loader is asked first");
}

/// Connections that say nothing any more cost those who wait on them, and then nobody.
#[tokio::test]
async fn connections_that_fall_silent_are_left_at_once() {
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let proxy = Proxy::to(server.url().trim_start_matches("redis://")).await;
    let (here, there) = (cache(&url.replace(server.url(), &format!("redis://{}", proxy.address()))), cache(&url));
    join_all((0..20).map(async |key| here.get(&key).await)).await;
    sleep(Duration::from_millis(500)).await; // its feed is connected, and its connections are open
    proxy.hush();
    there.put(&100, Some(&1), 1).await;
    testkit::eventually!(within Duration::from_secs(5), here.get(&100).await == Some(1));
    // As is its feed.
    testkit::eventually!({
        let version = there.get(&100).await.unwrap_or_default() + 1;
        there.put(&100, Some(&version), version).await;
        sleep(Duration::from_millis(100)).await;
        here.get(&100).await == Some(version)
    });
}

/// Redis is full and evicts nothing: what is written is still removed there, and nobody reads the old value.
#[tokio::test]
async fn writes_remove_the_value_while_memory_is_full() {
    let Some(server) = RedisServer::alone().await else { return };
    let url = server.fresh();
    let (here, there) = (cache(&url), cache(&url));
    for key in [1, 2] {
        here.put(&key, Some(&1), 1).await;
    }
    testkit::eventually!(there.get(&1).await == Some(1) && there.get(&2).await == Some(1));
    server.fill_up();
    for key in 10..30 {
        let loaded = here.get_or_load(&key, |version| *version, || async { Ok::<_, std::io::Error>(Some(7)) }).await;
        assert_eq!(loaded.unwrap(), Some(7), "no lease, but a value");
    }
    here.invalidate(&1).await;
    assert_eq!(cache(&url).get(&1).await, None, "at once");
    here.put(&2, Some(&2), 2).await;
    testkit::eventually!(there.get(&1).await.is_none() && there.get(&2).await.is_none());
    assert_eq!((read(&there, 2).await, cache(&url).get(&2).await), (2, None));
}

/// One row with its version, and the version that was current a while ago.
#[derive(Default)]
struct Row {
    version: AtomicU64,
    loading: AtomicUsize,
    most_loading: AtomicUsize,
}

impl Row {
    async fn load(&self) -> u64 {
        let loading = self.loading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_loading.fetch_max(loading, Ordering::SeqCst);
        let version = self.version.load(Ordering::SeqCst);
        sleep(Duration::from_millis(20)).await;
        self.loading.fetch_sub(1, Ordering::SeqCst);
        version
    }
}

/// Redis is down for ten seconds while 64 callers of two nodes read 40 keys, and somebody writes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_fails_while_redis_is_down_under_load() {
    const BOUND: Duration = Duration::from_secs(6); // local values are trusted for 5 s
    let Some(server) = RedisServer::alone().await else { return };
    let url = server.fresh();
    let policy = Policy { bulkhead: 4, ..Policy::default() };
    let nodes = [0, 1].map(|_| Cache::<u64, u64>::new("load", open(&url), policy));
    let (row, over, reads) = (Row::default(), AtomicBool::new(false), AtomicUsize::new(0));
    // When each version of key 0 became current.
    let written = Mutex::new(vec![Instant::now()]);
    let reader = async |caller: u64| {
        let node = &nodes[usize::from(caller.is_multiple_of(2))];
        for round in 0.. {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let key = (caller * 7 + round) % 40;
            let asked = Instant::now();
            let value =
                node.get_or_load(&key, |version| *version, || async { Ok::<_, ()>(Some(row.load().await)) }).await;
            let value = value.expect("the loader works").expect("a value");
            reads.fetch_add(1, Ordering::SeqCst);
            if key == 0 {
                // The one that is written: its successor was not current for longer than the bound.
                let next = written.lock().unwrap().get(usize::try_from(value).unwrap() + 1).copied();
                assert!(next.is_none_or(|since| since + BOUND > asked), "version {value} is too old");
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let writer = async {
        while !over.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(100)).await;
            let version = row.version.fetch_add(1, Ordering::SeqCst) + 1;
            written.lock().unwrap().push(Instant::now());
            nodes[0].put(&0, Some(&version), version).await;
        }
    };
    let outage = async {
        sleep(Duration::from_secs(2)).await;
        server.kill();
        row.most_loading.store(0, Ordering::SeqCst);
        sleep(Duration::from_secs(10)).await;
        let most = row.most_loading.load(Ordering::SeqCst);
        server.restart().await;
        sleep(BOUND).await;
        over.store(true, Ordering::SeqCst);
        most
    };
    let (_, (), most) = tokio::join!(join_all((0..64).map(reader)), writer, outage);
    println!("{} reads, at most {most} loads at a time while Redis was down", reads.load(Ordering::SeqCst));
    assert!(most <= 2 * policy.bulkhead, "{most} loads at a time, of two nodes");
    let now = row.version.load(Ordering::SeqCst);
    for node in &nodes {
        assert!(node.get(&0).await.is_none_or(|version| version == now));
    }
}
