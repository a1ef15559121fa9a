//! A cache without typed keys and tags: values of one type in a store, by the text of their key.

use std::sync::{Arc, Weak};

use serde::{Serialize, de::DeserializeOwned};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    codec::Missing,
    error::LoadError,
    flights::{ErasedError, FlightResult, Flights, Role},
    load::Loader,
    metrics::{Level, Outcome},
    policy::Policy,
    store::{Invalidation, Listener, Store},
    typed_store::TypedStore,
};

/// Stamps are those of the key's tags: a value that has others does not count.
pub(crate) struct Values<V> {
    loader: Loader<V>,
    flights: Arc<Flights<V>>,
}

impl<V> Values<V> {
    pub(crate) fn name(&self) -> &str {
        &self.loader.store.name
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.loader.store.raw
    }

    pub(crate) fn policy(&self) -> Policy {
        self.loader.store.policy
    }
}

impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Values<V> {
    pub(crate) fn new(name: String, store: Arc<dyn Store>, policy: Policy) -> Self {
        let flights = Arc::new(Flights::new());
        let listener: Weak<dyn Listener> = Arc::<Flights<V>>::downgrade(&flights);
        store.add_listener(listener);
        Self { loader: Loader::new(TypedStore::new(name, store, policy)), flights }
    }

    fn typed(&self) -> &TypedStore<V> {
        &self.loader.store
    }

    pub(crate) async fn get(&self, key: &str, stamps: &[u64]) -> Option<V> {
        let store = self.typed();
        let (entry, level) = match store.raw.get_local(key) {
            Some(entry) => (Some(entry), Level::Local),
            None => (store.call("get", key, store.raw.get(key)).await.flatten(), Level::Store),
        };
        let value = entry.ok_or(Missing).and_then(|entry| store.decode(&entry, stamps));
        let outcome = value.as_ref().map_or(Outcome::Miss, |value| Outcome::hit(value.as_ref()));
        self.record(level, outcome);
        value.unwrap_or_default()
    }

    pub(crate) async fn get_or_load<E, F, Fut>(
        &self,
        key: &str,
        stamps: &[u64],
        version_of: fn(&V) -> u64,
        fetch: F,
    ) -> Result<Option<V>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let mut refresh_early = false;
        if let Some(entry) = self.typed().raw.get_local(key)
            && let Ok(value) = self.typed().decode(&entry, stamps)
        {
            refresh_early = self.policy().refreshes_early(entry.load_time, entry.fresh_for);
            if !refresh_early {
                self.record(Level::Local, Outcome::hit(value.as_ref()));
                return Ok(value);
            }
        }
        loop {
            let leader = match self.flights.join(key, stamps) {
                Role::Leader(leader) => leader,
                Role::Follower(follower) => match follower.completed().await.map(downcast) {
                    Some(Some(result)) => {
                        let outcome = if result.is_ok() { Outcome::Waited } else { Outcome::Error };
                        self.record(Level::Loader, outcome);
                        return result;
                    }
                    // The leader is gone, or its error is of another type: load after all.
                    Some(None) | None => continue,
                },
            };
            // From here on, dropping this future drops `leader`, and one of the followers takes over.
            let span = tracing::info_span!("redis.get", cache.key = self.policy().told(key), cache.hit = Empty);
            let load = self.loader.load(key, stamps, refresh_early, version_of);
            let (result, (level, outcome)) = load.run(fetch).instrument(span.clone()).await;
            span.record("cache.hit", outcome.is_hit());
            leader.complete(result.clone().map_err(|error| ErasedError::new(&error)));
            self.record(level, outcome);
            return result;
        }
    }

    pub(crate) async fn put(&self, key: &str, value: Option<&V>, data_version: u64) {
        // At the end: a flight that a caller starts while the store is told of the write may still read the old value.
        let _invalidate = InvalidateOnDrop { flights: &self.flights, key };
        let (store, span) = (self.typed(), tracing::info_span!("redis.set", cache.key = self.policy().told(key)));
        async {
            match store.encode(value, &[], Some(data_version)) {
                Some(fill) => _ = store.call("put", key, store.raw.put(key, fill, data_version)).await,
                // What cannot be serialized must not leave an older value behind.
                None => _ = store.call("invalidate", key, store.raw.invalidate(key, Invalidation::Remove)).await,
            }
        }
        .instrument(span)
        .await;
    }

    pub(crate) async fn invalidate(&self, key: &str, invalidation: Invalidation) {
        let _invalidate = InvalidateOnDrop { flights: &self.flights, key };
        let (store, span) = (self.typed(), tracing::info_span!("redis.delete", cache.key = self.policy().told(key)));
        store.call("invalidate", key, store.raw.invalidate(key, invalidation)).instrument(span).await;
    }

    fn record(&self, level: Level, outcome: Outcome) {
        self.typed().metrics.answered(level, outcome);
        Span::current().record("cache.hit", outcome.is_hit());
    }
}

/// The leader's result for a follower; `None` when its error is of another type.
fn downcast<V, E: Send + Sync + 'static>(result: FlightResult<V>) -> Option<Result<Option<V>, LoadError<E>>> {
    match result {
        Ok(value) => Some(Ok(value)),
        Err(error) => error.downcast().map(Err),
    }
}

/// Keeps newcomers off a load that began before a write, whether or not the store answered, and when the write's future
/// is dropped.
struct InvalidateOnDrop<'a, V> {
    flights: &'a Flights<V>,
    key: &'a str,
}

impl<V> Drop for InvalidateOnDrop<'_, V> {
    fn drop(&mut self) {
        self.flights.close(self.key);
    }
}
