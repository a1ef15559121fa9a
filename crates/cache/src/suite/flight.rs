//! Cases about callers who want the same value at the same time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Broken, LEASE, LONG, Source, cache, fresh_key, version_of};
use crate::{Cache, LeaseRequest, LeaseToken, Lookup, Store};

async fn stampede(caches: &[Cache<String, String>], callers: usize) {
    let (source, key) = (Source::new(Duration::from_millis(100)), fresh_key());
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (cache, source, key) = (caches[caller % caches.len()].clone(), Arc::clone(&source), key.clone());
        tasks.spawn(async move { source.read(&cache, &key).await });
    }
    while let Some(read) = tasks.join_next().await {
        assert_eq!(read.unwrap(), "1");
    }
    assert_eq!(source.loads(), 1);
    for cache in caches {
        assert_eq!(cache.get(&key).await.unwrap(), "1");
    }
}

pub async fn a_thousand_callers_load_once(store: Arc<dyn Store>) {
    stampede(&[cache(&store)], 1000).await;
}

/// Two caches that know each other only through the store, as two processes would.
pub async fn two_nodes_load_once(store: Arc<dyn Store>) {
    stampede(&[cache(&store), cache(&store)], 1000).await;
}

/// Begins to load and is dropped in the middle of it, however slow the machine is: this load never ends by itself.
async fn cancelled(source: &Source, cache: &Cache<String, String>, key: &str) {
    let key = key.to_owned();
    let hangs = async || {
        source.loads.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Result<Option<String>, Broken>>().await
    };
    tokio::select! {
        read = cache.get_or_load(&key, version_of, hangs) => unreachable!("{read:?}"),
        () = async { source.loading().await; sleep(LEASE / 12).await } => {}
    }
}

pub async fn cancelled_leader_is_replaced(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(Duration::ZERO), fresh_key());
    let followers = async {
        source.loading().await;
        let mut all = JoinSet::new();
        for _ in 0..10 {
            let (cache, source, key) = (cache.clone(), Arc::clone(&source), key.clone());
            all.spawn(async move { source.read(&cache, &key).await });
        }
        all.join_all().await
    };
    let both = async { tokio::join!(cancelled(&source, &cache, &key), followers) };
    let ((), followers) = timeout(LONG / 2, both).await.expect("nobody waits for the dead leader's lease");
    assert!(followers.iter().all(|value| value == "1"));
    assert_eq!(source.loads(), 2, "one by the leader, one by the follower who took over");
}

pub async fn lone_cancelled_leader_leaves_no_lease(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(Duration::ZERO), fresh_key());
    cancelled(&source, &cache, &key).await;
    let read = timeout(LONG / 2, source.read(&cache, &key)).await;
    assert_eq!(read.expect("the lease was abandoned with the load"), "1");
}

/// A node that got the lease and was killed: it can tell nobody.
pub async fn dead_leader_holds_up_for_a_lease(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(Duration::ZERO), fresh_key());
    let dead = LeaseRequest { token: LeaseToken::random(), ttl: LEASE, refresh_early: false };
    let start = Instant::now();
    assert_eq!(store.get_or_lease(&format!("suite:{key}"), &dead).await.unwrap(), Lookup::Load);
    assert_eq!(source.read(&cache, &key).await, "1");
    assert!(start.elapsed() >= LEASE / 2, "the lease counts");
    assert!(start.elapsed() < LONG, "but not for ever");
    assert_eq!(cache.get(&key).await.unwrap(), "1");
}

/// The race that most caches lose: a slow reader has read the old row when it is written and invalidated.
pub async fn invalidated_flight_serves_no_newcomer(store: Arc<dyn Store>) {
    for nodes in [1, 2] {
        for put in [false, true] {
            let here = cache(&store);
            let there = if nodes == 1 { here.clone() } else { cache(&store) };
            let (source, key) = (Source::new(LEASE / 4), fresh_key());
            let slow = source.read(&here, &key);
            let rest = async {
                source.loading().await;
                sleep(LEASE / 12).await;
                let version = source.write();
                if put {
                    there.put(&key, Some(&version.to_string()), version).await;
                } else {
                    there.invalidate(&key).await;
                }
                source.read(&here, &key).await
            };
            let (old, new) = tokio::join!(slow, rest);
            assert_eq!((old.as_str(), new.as_str()), ("1", "2"), "nodes {nodes}, put {put}");
            for cache in [&here, &there] {
                assert_eq!(cache.get(&key).await.unwrap(), "2", "the slow reader's value was not stored");
            }
        }
    }
}
