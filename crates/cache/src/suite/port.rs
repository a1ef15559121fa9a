//! Cases that talk to the port directly.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{LEASE, LONG, fresh_key};
use crate::{Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, Lookup, Store};

fn request(token: LeaseToken) -> LeaseRequest {
    LeaseRequest { token, ttl: LONG, refresh_early: false }
}

fn fill(value: &'static str, data_version: Option<u64>) -> Fill {
    Fill {
        value: Bytes::from_static(value.as_bytes()),
        data_version,
        soft_ttl: LONG,
        hard_ttl: LONG * 2,
        load_time: LEASE,
    }
}

async fn leased(store: &Arc<dyn Store>, key: &str) -> LeaseToken {
    let token = LeaseToken::random();
    assert_eq!(store.get_or_lease(key, &request(token)).await.unwrap(), Lookup::Load);
    token
}

async fn fresh(store: &Arc<dyn Store>, key: &str) -> Option<Entry> {
    let entry = store.get(key).await.unwrap();
    assert!(entry.as_ref().is_none_or(|entry| !entry.fresh_for.is_zero()));
    entry
}

async fn value(store: &Arc<dyn Store>, key: &str) -> Option<Bytes> {
    fresh(store, key).await.map(|entry| entry.value)
}

pub async fn lease_is_for_one(store: Arc<dyn Store>) {
    let key = fresh_key();
    let token = leased(&store, &key).await;
    assert_eq!(store.get_or_lease(&key, &request(token)).await.unwrap(), Lookup::Load, "asked again");
    let Lookup::Wait { holder, expires_in } = store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap()
    else {
        unreachable!("somebody else loads");
    };
    assert_eq!(holder, token);
    assert!(expires_in > Duration::ZERO && expires_in <= LONG);
    assert!(store.fill(&key, token, fill("one", None)).await.unwrap());
    let Lookup::Fresh(entry) = store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap() else {
        unreachable!("it was filled");
    };
    assert_eq!((entry.value, entry.load_time), (Bytes::from_static(b"one"), LEASE));
    assert!(entry.fresh_for <= LONG);
    assert_eq!(value(&store, &key).await.unwrap(), "one");
}

pub async fn fill_needs_the_lease(store: Arc<dyn Store>) {
    let key = fresh_key();
    assert!(!store.fill(&key, LeaseToken::random(), fill("forged", None)).await.unwrap());
    let token = leased(&store, &key).await;
    assert!(!store.fill(&key, LeaseToken::random(), fill("forged", None)).await.unwrap());
    assert!(store.fill(&key, token, fill("one", None)).await.unwrap());
    assert!(!store.fill(&key, token, fill("two", None)).await.unwrap(), "the lease ended with the fill");
    assert_eq!(value(&store, &key).await.unwrap(), "one");
}

pub async fn invalidation_refuses_the_fill(store: Arc<dyn Store>) {
    for invalidation in [Invalidation::Remove, Invalidation::Expire] {
        let key = fresh_key();
        let token = leased(&store, &key).await;
        store.invalidate(&key, invalidation).await.unwrap();
        assert!(!store.renew(&key, token, LEASE).await.unwrap());
        assert!(!store.fill(&key, token, fill("stale", None)).await.unwrap());
        assert_eq!(value(&store, &key).await, None);
        let next = leased(&store, &key).await;
        assert!(!store.fill(&key, token, fill("stale", None)).await.unwrap());
        store.abandon(&key, token);
        assert!(store.fill(&key, next, fill("new", None)).await.unwrap());
        assert_eq!(value(&store, &key).await.unwrap(), "new");
    }
}

pub async fn put_refuses_the_fill(store: Arc<dyn Store>) {
    let key = fresh_key();
    let token = leased(&store, &key).await;
    assert!(store.put(&key, fill("put", None), 2).await.unwrap());
    assert!(!store.fill(&key, token, fill("stale", Some(1))).await.unwrap());
    assert_eq!(value(&store, &key).await.unwrap(), "put");
}

pub async fn put_refuses_older_data(store: Arc<dyn Store>) {
    let key = fresh_key();
    assert!(store.put(&key, fill("two", None), 2).await.unwrap());
    assert!(!store.put(&key, fill("one", None), 1).await.unwrap());
    assert!(!store.put(&key, fill("two again", None), 2).await.unwrap());
    assert!(store.put(&key, fill("three", None), 3).await.unwrap());
    assert_eq!(value(&store, &key).await.unwrap(), "three");
    // The version outlives the value.
    store.invalidate(&key, Invalidation::Remove).await.unwrap();
    assert!(!store.put(&key, fill("two", None), 2).await.unwrap());
    let token = leased(&store, &key).await;
    assert!(!store.fill(&key, token, fill("from a replica that lags", Some(2))).await.unwrap());
    let token = LeaseToken::random();
    store.abandon(&key, token);
    assert_eq!(value(&store, &key).await, None);
}

/// Of two writers one wrote first and puts last; the other invalidated, which says nothing of its version.
pub async fn put_after_an_invalidation_stores_nothing(store: Arc<dyn Store>) {
    for invalidation in [Invalidation::Remove, Invalidation::Expire] {
        let key = fresh_key();
        store.put(&key, fill("one", None), 1).await.unwrap();
        store.invalidate(&key, invalidation).await.unwrap();
        let token = LeaseToken::random();
        store.get_or_lease(&key, &request(token)).await.unwrap();
        assert!(!store.put(&key, fill("two", None), 2).await.unwrap(), "version 3 may have been invalidated");
        assert!(!store.fill(&key, token, fill("loaded between", Some(1))).await.unwrap());
        assert_eq!(value(&store, &key).await, None);
        // A value loaded since says how new the data was.
        let token = leased(&store, &key).await;
        assert!(store.fill(&key, token, fill("three", Some(3))).await.unwrap());
        assert!(!store.put(&key, fill("two", None), 2).await.unwrap());
        assert!(store.put(&key, fill("four", None), 4).await.unwrap());
        assert_eq!(value(&store, &key).await.unwrap(), "four");
    }
}

pub async fn generations_rise(store: Arc<dyn Store>) {
    let key = fresh_key();
    let mut last = 0;
    for version in 1..=20 {
        let token = leased(&store, &key).await;
        assert!(store.fill(&key, token, fill("filled", Some(version))).await.unwrap());
        let filled = fresh(&store, &key).await.unwrap().generation;
        assert!(store.put(&key, fill("put", None), version + 1).await.unwrap());
        let put = fresh(&store, &key).await.unwrap().generation;
        let expired = store.invalidate(&key, Invalidation::Expire).await.unwrap();
        let removed = store.invalidate(&key, Invalidation::Remove).await.unwrap();
        let all = [last, filled, put, expired, removed];
        assert!(all.is_sorted_by(|earlier, later| earlier < later), "{all:?}");
        last = removed;
    }
}

pub async fn expired_lease_is_taken_over(store: Arc<dyn Store>) {
    let key = fresh_key();
    let dead = LeaseToken::random();
    assert_eq!(store.get_or_lease(&key, &LeaseRequest { ttl: LEASE, ..request(dead) }).await.unwrap(), Lookup::Load);
    sleep(LEASE * 2).await;
    let next = leased(&store, &key).await;
    assert!(!store.renew(&key, dead, LEASE).await.unwrap());
    assert!(!store.fill(&key, dead, fill("dead", None)).await.unwrap());
    assert!(store.fill(&key, next, fill("next", None)).await.unwrap());
}

pub async fn renewed_lease_stays(store: Arc<dyn Store>) {
    let key = fresh_key();
    let (token, ttl) = (LeaseToken::random(), LEASE * 5);
    assert_eq!(store.get_or_lease(&key, &LeaseRequest { ttl, ..request(token) }).await.unwrap(), Lookup::Load);
    for _ in 0..4 {
        sleep(ttl * 2 / 5).await;
        assert!(store.renew(&key, token, ttl).await.unwrap());
    }
    assert!(matches!(store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap(), Lookup::Wait { .. }));
    assert!(store.fill(&key, token, fill("slow", None)).await.unwrap());
}

pub async fn abandoned_lease_is_free(store: Arc<dyn Store>) {
    let key = fresh_key();
    let token = leased(&store, &key).await;
    store.abandon(&key, LeaseToken::random());
    assert!(matches!(store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap(), Lookup::Wait { .. }));
    store.abandon(&key, token);
    timeout(LONG / 2, store.wait(&key, token)).await.expect("long before the lease ends");
    leased(&store, &key).await;
}

pub async fn wait_ends_with_the_lease(store: Arc<dyn Store>) {
    for end in 0..4 {
        let key = fresh_key();
        let token = leased(&store, &key).await;
        let waiting = timeout(LONG, store.wait(&key, token));
        let ending = async {
            sleep(Duration::from_millis(20)).await;
            match end {
                0 => _ = store.fill(&key, token, fill("one", None)).await.unwrap(),
                1 => _ = store.put(&key, fill("one", None), 1).await.unwrap(),
                2 => _ = store.invalidate(&key, Invalidation::Remove).await.unwrap(),
                _ => store.abandon(&key, token),
            }
        };
        let (waited, ()) = tokio::join!(waiting, ending);
        waited.expect("woken when the lease ended");
        timeout(LONG, store.wait(&key, token)).await.expect("an end before the wait counts");
    }
}

pub async fn values_expire(store: Arc<dyn Store>) {
    let key = fresh_key();
    let token = leased(&store, &key).await;
    let short = Fill { soft_ttl: LEASE / 2, hard_ttl: LEASE * 8, ..fill("short", None) };
    assert!(store.fill(&key, token, short).await.unwrap());
    sleep(LEASE).await;
    assert_eq!(value(&store, &key).await, None);
    let token = LeaseToken::random();
    let Lookup::Refresh(stale) = store.get_or_lease(&key, &request(token)).await.unwrap() else {
        unreachable!("stale, and nobody refreshes");
    };
    assert_eq!((stale.value, stale.fresh_for), (Bytes::from_static(b"short"), Duration::ZERO));
    let other = store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap();
    assert!(matches!(other, Lookup::Stale(entry) if entry.value == "short"));
    assert!(store.extend(&key, token, LONG).await.unwrap(), "loading failed");
    assert_eq!(value(&store, &key).await.unwrap(), "short");
    assert!(!store.extend(&key, token, LONG).await.unwrap());
    sleep(LEASE * 9).await;
    assert_eq!(value(&store, &key).await, None, "not past its hard expiry");
    leased(&store, &key).await;
}

pub async fn expired_value_still_serves(store: Arc<dyn Store>) {
    let key = fresh_key();
    store.put(&key, fill("old", None), 1).await.unwrap();
    store.invalidate(&key, Invalidation::Expire).await.unwrap();
    assert_eq!(value(&store, &key).await, None);
    let found = store.get_or_lease(&key, &request(LeaseToken::random())).await.unwrap();
    assert!(matches!(found, Lookup::Refresh(entry) if entry.value == "old"));
    store.invalidate(&key, Invalidation::Remove).await.unwrap();
    leased(&store, &key).await;
}

pub async fn early_refresh_gets_the_lease(store: Arc<dyn Store>) {
    let key = fresh_key();
    store.put(&key, fill("one", None), 1).await.unwrap();
    let (first, second) = (
        LeaseRequest { refresh_early: true, ..request(LeaseToken::random()) },
        LeaseRequest { refresh_early: true, ..request(LeaseToken::random()) },
    );
    assert!(matches!(store.get_or_lease(&key, &first).await.unwrap(), Lookup::Refresh(_)));
    assert!(matches!(store.get_or_lease(&key, &second).await.unwrap(), Lookup::Fresh(_)));
    assert!(store.fill(&key, first.token, fill("two", Some(2))).await.unwrap());
    assert_eq!(value(&store, &key).await.unwrap(), "two");
}

#[derive(Default)]
struct Recorder(Mutex<Vec<(String, u64)>>);

impl Listener for Recorder {
    fn on_invalidated(&self, key: &str, generation: u64) {
        self.0.lock().unwrap().push((key.to_owned(), generation));
    }

    fn on_notifications_lost(&self) {}
}

pub async fn listeners_are_notified(store: Arc<dyn Store>) {
    let (key, recorder) = (fresh_key(), Arc::new(Recorder::default()));
    let listener: std::sync::Weak<dyn Listener> = Arc::<Recorder>::downgrade(&recorder);
    store.add_listener(listener);
    let token = leased(&store, &key).await;
    store.fill(&key, token, fill("one", Some(1))).await.unwrap();
    let notified = || {
        let notified = recorder.0.lock().unwrap();
        notified.iter().filter(|(of, _)| *of == key).map(|(_, generation)| *generation).collect::<Vec<_>>()
    };
    assert!(notified().is_empty(), "a fill makes nothing obsolete");
    store.put(&key, fill("two", None), 2).await.unwrap();
    assert_eq!(notified(), [fresh(&store, &key).await.unwrap().generation]);
    let generation = store.invalidate(&key, Invalidation::Remove).await.unwrap();
    assert_eq!(notified().last(), Some(&generation));
    drop(recorder);
    store.invalidate(&key, Invalidation::Remove).await.unwrap();
}
