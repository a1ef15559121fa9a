//! The contract suite over `memory:`, and what only holds there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache::{
    BoxError, Cache, Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, LoadError, Lookup, Memory, Policy,
    Store,
};
use tokio::time::{Instant, sleep};

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new(clock::system()))
}

mod contract {
    testkit::suite! {
        #[tokio::test(start_paused = true)]
        cache::suite, super::memory()
    }
}

/// The cases that tasks may run at the same time, on several threads and real time.
mod parallel {
    use super::memory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_thousand_callers_load_once() {
        cache::suite::flight::a_thousand_callers_load_once(memory()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_nodes_load_once() {
        cache::suite::flight::two_nodes_load_once(memory()).await;
    }
}

fn fill(bytes: usize) -> Fill {
    let long = Duration::from_mins(10);
    Fill {
        value: Bytes::from(vec![0; bytes]),
        data_version: None,
        soft_ttl: long,
        hard_ttl: long,
        load_time: Duration::ZERO,
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_stays_within_its_bound() {
    let memory = Memory::with_capacity(clock::system(), 100_000);
    for number in 0..10_000_u64 {
        memory.put(&number.to_string(), fill(1000), 1).await.unwrap();
    }
    let mut kept = 0;
    for number in 0..10_000_u64 {
        kept += usize::from(memory.get_local(&number.to_string()).is_some());
    }
    assert!((1..200).contains(&kept), "{kept} values are kept");
}

#[tokio::test(start_paused = true)]
async fn an_evicted_value_does_not_let_older_data_in() {
    let memory = Memory::with_capacity(clock::system(), 0);
    assert!(memory.put("one", fill(1000), 2).await.unwrap());
    assert!(!memory.put("one", fill(1000), 1).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_value_is_refreshed_early_by_one_while_it_serves_the_others() {
    let policy = Policy { ttl: Duration::from_mins(1), early_refresh: 1.0, ..Policy::default() };
    let cache: Cache<u8, u64> = Cache::new("early", memory(), policy);
    let mut loads = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_mins(10) {
        let loaded: Result<_, LoadError<()>> = cache
            .get_or_load(
                &1,
                |version| *version,
                async || {
                    loads += 1;
                    sleep(Duration::from_secs(1)).await;
                    Ok(Some(loads))
                },
            )
            .await;
        assert!(loaded.unwrap().is_some());
        sleep(Duration::from_millis(10)).await;
    }
    // A load each minute without, and somewhat more with: sooner, but not all the time.
    assert!((10..=20).contains(&loads), "{loads} loads");
}

/// A store that fails, or never answers.
#[derive(Debug)]
struct Down {
    hangs: bool,
}

impl Down {
    async fn fail<T>(&self) -> Result<T, BoxError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err("down".into())
    }
}

#[async_trait]
impl Store for Down {
    async fn get(&self, _: &str) -> Result<Option<Entry>, BoxError> {
        self.fail().await
    }

    async fn get_or_lease(&self, _: &str, _: &LeaseRequest) -> Result<Lookup, BoxError> {
        self.fail().await
    }

    async fn renew(&self, _: &str, _: LeaseToken, _: Duration) -> Result<bool, BoxError> {
        self.fail().await
    }

    async fn fill(&self, _: &str, _: LeaseToken, _: Fill) -> Result<bool, BoxError> {
        self.fail().await
    }

    async fn extend(&self, _: &str, _: LeaseToken, _: Duration) -> Result<bool, BoxError> {
        self.fail().await
    }

    fn abandon(&self, _: &str, _: LeaseToken) {}

    async fn wait(&self, _: &str, _: LeaseToken) {}

    async fn put(&self, _: &str, _: Fill, _: u64) -> Result<bool, BoxError> {
        self.fail().await
    }

    async fn invalidate(&self, _: &str, _: Invalidation) -> Result<u64, BoxError> {
        self.fail().await
    }

    fn add_listener(&self, _: Weak<dyn Listener>) {}
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_costs_time_and_nothing_else() {
    for hangs in [false, true] {
        let cache: Cache<u8, u64> = Cache::new("down", Arc::new(Down { hangs }), Policy::default());
        let start = Instant::now();
        let load = || async { Ok::<_, ()>(Some(7)) };
        assert_eq!(cache.get_or_load(&1, |_| 1, load).await.unwrap(), Some(7));
        assert_eq!(cache.get(&1).await, None);
        cache.put(&1, Some(&8), 2).await;
        cache.invalidate(&1).await;
        let failed = cache.get_or_load(&1, |_| 1, || async { Err("the loader's own") }).await;
        assert!(matches!(failed, Err(LoadError::Failed(error)) if *error == "the loader's own"));
        assert!(start.elapsed() <= Duration::from_secs(3));
    }
}
