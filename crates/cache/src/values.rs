//! Values of one kind in a store, by the text of their key: what a cache is without its typed keys and tags.

use std::sync::{Arc, Weak};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    codec::{self, Missing},
    error::{BoxError, LoadError},
    flights::{Failure, Flights, Seat},
    load::Load,
    metrics::{Level, Metrics, Outcome},
    policy::Policy,
    store::{Entry, Fill, Listener, Reach, Store},
};

/// Stamps are those of the key's tags: a value that bears others does not count.
pub(crate) struct Values<V> {
    pub(crate) name: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    flights: Arc<Flights<V>>,
    pub(crate) bulkhead: Semaphore,
}

impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Values<V> {
    pub(crate) fn new(name: String, store: Arc<dyn Store>, policy: Policy) -> Self {
        let flights = Arc::new(Flights::new());
        let listener: Weak<dyn Listener> = Arc::<Flights<V>>::downgrade(&flights);
        store.listen(listener);
        let (metrics, bulkhead) = (Metrics::new(&name), Semaphore::new(policy.bulkhead.max(1)));
        Self { name, store, policy, metrics, flights, bulkhead }
    }

    pub(crate) async fn get(&self, key: &str, stamps: &[u64]) -> Option<V> {
        let (entry, level) = match self.store.near(key) {
            Some(entry) => (Some(entry), Level::Near),
            None => (self.call("get", key, self.store.get(key)).await.flatten(), Level::Store),
        };
        let value = entry.ok_or(Missing).and_then(|entry| self.decode(&entry, stamps));
        let outcome = value.as_ref().map_or(Outcome::Miss, |value| Outcome::hit(value.as_ref()));
        self.answer(level, outcome);
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
        let mut early = false;
        if let Some(entry) = self.store.near(key)
            && let Ok(value) = self.decode(&entry, stamps)
        {
            early = self.policy.is_early(entry.cost, entry.fresh_for);
            if !early {
                self.answer(Level::Near, Outcome::hit(value.as_ref()));
                return Ok(value);
            }
        }
        loop {
            let leader = match self.flights.join(key, stamps) {
                Seat::Leader(leader) => leader,
                Seat::Follower(follower) => match follower.landed().await.map(typed) {
                    Some(Some(result)) => {
                        let outcome = if result.is_ok() { Outcome::Waited } else { Outcome::Error };
                        self.answer(Level::Loader, outcome);
                        return result;
                    }
                    // The leader is gone, or its error is of another type: load after all.
                    Some(None) | None => continue,
                },
            };
            let span = tracing::info_span!("redis.get", cache.key = key, cache.hit = Empty);
            let load = Load::new(self, key, stamps, early, version_of);
            let (result, (level, outcome)) = load.run(fetch).instrument(span.clone()).await;
            span.record("cache.hit", outcome.is_hit());
            leader.land(result.clone().map_err(|error| Failure::of(&error)));
            self.answer(level, outcome);
            return result;
        }
    }

    pub(crate) async fn put(&self, key: &str, value: Option<&V>, data_version: u64) {
        let _poison = Poison { flights: &self.flights, key };
        let span = tracing::info_span!("redis.set", cache.key = key);
        async {
            match self.fill_of(value, &[], Some(data_version)) {
                Some(fill) => _ = self.call("put", key, self.store.put(key, fill, data_version)).await,
                // What cannot be written must not leave an older value behind.
                None => _ = self.call("invalidate", key, self.store.invalidate(key, Reach::Remove)).await,
            }
        }
        .instrument(span)
        .await;
    }

    pub(crate) async fn invalidate(&self, key: &str, reach: Reach) {
        let _poison = Poison { flights: &self.flights, key };
        let span = tracing::info_span!("redis.delete", cache.key = key);
        self.call("invalidate", key, self.store.invalidate(key, reach)).instrument(span).await;
    }
}

impl<V: Serialize + DeserializeOwned> Values<V> {
    /// A call to the store under its limit; a failure is counted, logged, and no answer.
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        key: &str,
        call: impl Future<Output = Result<T, BoxError>>,
    ) -> Option<T> {
        let failure: BoxError = match timeout(self.policy.store_timeout, call).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        self.metrics.failed();
        tracing::warn!(cache.key = key, cache.operation = operation, error = %failure, "the cache is left out");
        None
    }

    /// The value of an entry that bears these stamps.
    pub(crate) fn decode(&self, entry: &Entry, stamps: &[u64]) -> Result<Option<V>, Missing> {
        if !codec::bears(&entry.value, stamps) {
            return Err(Missing);
        }
        self.decode_any(entry)
    }

    /// The value of an entry, whatever stamps it bears.
    pub(crate) fn decode_any(&self, entry: &Entry) -> Result<Option<V>, Missing> {
        codec::decode(self.policy.schema, &entry.value).inspect_err(|_| self.metrics.unreadable())
    }

    /// What to store for `value`; `None` when it cannot be written down.
    pub(crate) fn fill_of(&self, value: Option<&V>, stamps: &[u64], data_version: Option<u64>) -> Option<Fill> {
        let (soft, hard) = self.policy.lifetimes(value.is_none());
        let bytes = codec::encode(self.policy.schema, stamps, value)
            .inspect_err(|error| tracing::warn!(cache = self.name, %error, "a value cannot be cached"));
        bytes.ok().map(|value| Fill { value, data_version, soft, hard, cost: std::time::Duration::ZERO })
    }

    fn answer(&self, level: Level, outcome: Outcome) {
        self.metrics.answered(level, outcome);
        Span::current().record("cache.hit", outcome.is_hit());
    }
}

/// The leader's result for a follower; `None` when its error is of another type.
fn typed<V, E: Send + Sync + 'static>(shared: Result<Option<V>, Failure>) -> Option<Result<Option<V>, LoadError<E>>> {
    match shared {
        Ok(value) => Some(Ok(value)),
        Err(failure) => failure.typed().map(Err),
    }
}

/// Keeps newcomers off a load that began before a write, whether or not the store could be told.
struct Poison<'a, V: Send + Sync> {
    flights: &'a Flights<V>,
    key: &'a str,
}

impl<V: Send + Sync> Drop for Poison<'_, V> {
    fn drop(&mut self) {
        self.flights.invalidated(self.key, 0);
    }
}
