//! Cases about what one caller reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};

use super::{Broken, LEASE, LONG, Source, cache, cache_with, fresh_key, policy, version_of};
use crate::{LoadError, Policy, Store};

pub async fn put_is_read_back(store: Arc<dyn Store>) {
    let (cache, source, key) = (cache(&store), Source::new(Duration::ZERO), fresh_key());
    assert_eq!(cache.get(&key).await, None);
    cache.put(&key, Some(&"5".to_owned()), 5).await;
    assert_eq!(cache.get(&key).await.unwrap(), "5");
    assert_eq!(source.read(&cache, &key).await, "5");
    cache.invalidate(&key).await;
    assert_eq!(cache.get(&key).await, None);
    assert_eq!(source.read(&cache, &key).await, "1");
}

pub async fn writes_of_older_data_lose(store: Arc<dyn Store>) {
    let (cache, key) = (cache(&store), fresh_key());
    cache.put(&key, Some(&"2".to_owned()), 2).await;
    cache.put(&key, Some(&"1".to_owned()), 1).await;
    assert_eq!(cache.get(&key).await.unwrap(), "2");
    cache.put(&key, None, 3).await;
    cache.put(&key, Some(&"2".to_owned()), 2).await;
    assert_eq!(cache.get(&key).await, None, "deleted stays deleted");
}

pub async fn absence_is_remembered(store: Arc<dyn Store>) {
    let brief = Policy { negative_ttl: LEASE * 5, jitter: 0.0, ..policy() };
    let (cache, key, loads) = (cache_with(&store, brief), fresh_key(), AtomicUsize::new(0));
    let load = || async {
        loads.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Broken>(None)
    };
    for _ in 0..3 {
        assert_eq!(cache.get_or_load(&key, version_of, load).await.unwrap(), None);
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    sleep(LEASE * 6).await;
    assert_eq!(cache.get_or_load(&key, version_of, load).await.unwrap(), None);
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    cache.put(&key, Some(&"1".to_owned()), 1).await;
    assert_eq!(cache.get(&key).await.unwrap(), "1");
}

pub async fn errors_are_shared_and_not_stored(store: Arc<dyn Store>) {
    let (cache, key, loads) = (cache(&store), fresh_key(), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (cache, key, loads) = (cache.clone(), key.clone(), Arc::clone(&loads));
        callers.spawn(async move {
            let load = async || {
                loads.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(50)).await;
                Err(Broken(7))
            };
            cache.get_or_load(&key, version_of, load).await
        });
    }
    for outcome in callers.join_all().await {
        assert!(matches!(outcome.unwrap_err(), LoadError::Failed(error) if *error == Broken(7)));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert_eq!(Source::new(Duration::ZERO).read(&cache, &key).await, "1", "at once, and not the error");
}

pub async fn stale_value_serves_when_loading_fails(store: Arc<dyn Store>) {
    let brief = Policy { ttl: LEASE, jitter: 0.0, throttle: LONG, load_timeout: LEASE / 4, ..policy() };
    let (cache, source) = (cache_with(&store, brief), Source::new(Duration::ZERO));
    for slow in [false, true] {
        let (key, loads) = (fresh_key(), AtomicUsize::new(0));
        assert_eq!(source.read(&cache, &key).await, "1");
        sleep(LEASE * 2).await;
        assert_eq!(cache.get(&key).await, None, "stale");
        for _ in 0..3 {
            let load = || async {
                loads.fetch_add(1, Ordering::SeqCst);
                if slow {
                    sleep(LONG).await;
                }
                Err(Broken(1))
            };
            assert_eq!(cache.get_or_load(&key, version_of, load).await.unwrap().unwrap(), "1");
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1, "not asked again until the throttle is over");
        // Without a stale value there is nothing to fall back on.
        cache.invalidate(&key).await;
        let failed = cache.get_or_load(&key, version_of, || async { Err(Broken(2)) }).await;
        assert!(matches!(failed, Err(LoadError::Failed(error)) if *error == Broken(2)));
    }
}

pub async fn other_schema_is_a_miss(store: Arc<dyn Store>) {
    let (old, new) = (cache(&store), cache_with(&store, Policy { schema: 1, ..policy() }));
    let (source, key) = (Source::new(Duration::ZERO), fresh_key());
    assert_eq!(source.read(&old, &key).await, "1");
    source.write();
    assert_eq!(new.get(&key).await, None);
    assert_eq!(source.read(&new, &key).await, "2", "loaded, not failed");
    assert_eq!(new.get(&key).await.unwrap(), "2", "and stored in place of the old one");
    assert_eq!(source.loads(), 2);
}
