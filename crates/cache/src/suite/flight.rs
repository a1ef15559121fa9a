//! Cases about callers who want the same value at the same time.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{LEASE, Source, cache, fresh_key};
use crate::{Ask, Cache, Found, Store, Token};

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

pub async fn cancelled_leader_is_replaced(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(LEASE / 3), fresh_key());
    let start = Instant::now();
    {
        let leader = timeout(LEASE / 6, source.read(&cache, &key));
        let followers = async {
            let mut all = JoinSet::new();
            for _ in 0..10 {
                let (cache, source, key) = (cache.clone(), Arc::clone(&source), key.clone());
                all.spawn(async move { source.read(&cache, &key).await });
            }
            all.join_all().await
        };
        let (cancelled, followers) = tokio::join!(leader, followers);
        cancelled.unwrap_err();
        assert!(followers.iter().all(|value| value == "1"));
    }
    assert_eq!(source.loads(), 2, "one by the leader, one by the follower who took over");
    assert!(start.elapsed() < LEASE, "nobody waited for the dead leader's lease");
}

pub async fn lone_cancelled_leader_leaves_no_lease(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(LEASE / 3), fresh_key());
    timeout(LEASE / 6, source.read(&cache, &key)).await.unwrap_err();
    let start = Instant::now();
    assert_eq!(source.read(&cache, &key).await, "1");
    assert!(start.elapsed() < LEASE, "the lease was abandoned with the load");
}

/// A node that got the lease and was killed: it can tell nobody.
pub async fn dead_leader_holds_up_for_a_lease(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(Duration::ZERO), fresh_key());
    let dead = Ask { token: Token::random(), lease: LEASE, early: false };
    assert_eq!(store.get_or_lease(&format!("suite:{key}"), &dead).await.unwrap(), Found::Load);
    let start = Instant::now();
    assert_eq!(source.read(&cache, &key).await, "1");
    assert!(start.elapsed() >= LEASE / 2, "the lease counts");
    assert!(start.elapsed() < LEASE * 4, "but not for ever");
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
                source.asked().await;
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
