//! The cache that use cases see: cache-aside, write-through, and never in the way.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
    sync::{Arc, Weak},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    codec::{self, Missing},
    error::{BoxError, LoadError},
    flights::{Failure, Flights, Seat},
    load::Load,
    metrics::{Metrics, Outcome},
    policy::Policy,
    store::{Entry, Fill, Listener, Reach, Store},
};

/// Values of one kind, by key. Cheap to clone.
///
/// A store that fails costs time and nothing else: reads load, writes go on; it is counted and logged.
pub struct Cache<K, V> {
    pub(crate) inner: Arc<Inner<V>>,
    keys: PhantomData<fn(&K)>,
}

pub(crate) struct Inner<V> {
    name: &'static str,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    flights: Arc<Flights<V>>,
    pub(crate) bulkhead: Semaphore,
}

impl<K, V> Cache<K, V>
where
    K: Display,
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Makes a cache on `store`; `name` keeps its keys apart from those of other caches there.
    pub fn new(name: &'static str, store: Arc<dyn Store>, policy: Policy) -> Self {
        let flights = Arc::new(Flights::new());
        let listener: Weak<dyn Listener> = Arc::<Flights<V>>::downgrade(&flights);
        store.listen(listener);
        let (metrics, bulkhead) = (Metrics::new(name), Semaphore::new(policy.bulkhead.max(1)));
        Self { inner: Arc::new(Inner { name, store, policy, metrics, flights, bulkhead }), keys: PhantomData }
    }

    /// The value, if it is cached and fresh.
    pub async fn get(&self, key: &K) -> Option<V> {
        let (key, inner) = (self.key(key), &*self.inner);
        let entry = match inner.store.near(&key) {
            Some(entry) => Some(entry),
            None => inner.call("get", &key, inner.store.get(&key)).await.flatten(),
        };
        let value = entry.ok_or(Missing).and_then(|entry| inner.decode(&entry));
        let outcome = value.as_ref().map_or(Outcome::Miss, |value| Outcome::hit(value.as_ref()));
        inner.answer(outcome);
        value.unwrap_or_default()
    }

    /// The value, from the cache or else from `fetch`, which runs once for all who ask at the same time.
    ///
    /// The caller who began after a [`put`](Cache::put) or [`invalidate`](Cache::invalidate) has returned
    /// never gets what was loaded before it. `Ok(None)` is remembered too, for a shorter time; errors are not.
    /// Dropping the future is safe: somebody else who waits takes the load over.
    ///
    /// # Errors
    ///
    /// Returns the loader's error, or that it took too long, where there is no stale value to fall back on.
    pub async fn get_or_load<E, F, Fut>(
        &self,
        key: &K,
        version_of: fn(&V) -> u64,
        fetch: F,
    ) -> Result<Option<V>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let (key, inner) = (self.key(key), &*self.inner);
        let near = inner.store.near(&key);
        let mut early = false;
        if let Some(entry) = near
            && let Ok(value) = inner.decode(&entry)
        {
            early = inner.policy.is_early(entry.cost, entry.fresh_for);
            if !early {
                inner.answer(Outcome::hit(value.as_ref()));
                return Ok(value);
            }
        }
        loop {
            let leader = match inner.flights.join(&key) {
                Seat::Leader(leader) => leader,
                Seat::Follower(follower) => match follower.landed().await.map(typed) {
                    Some(Some(result)) => {
                        inner.answer(if result.is_ok() { Outcome::Waited } else { Outcome::Error });
                        return result;
                    }
                    // The leader is gone, or its error is of another type: load after all.
                    Some(None) | None => continue,
                },
            };
            let span = tracing::info_span!("redis.get", cache.key = key, cache.hit = Empty);
            let (result, outcome) = Load::new(inner, &key, early, version_of).run(fetch).instrument(span.clone()).await;
            span.record("cache.hit", outcome.is_hit());
            leader.land(result.clone().map_err(|error| Failure::of(&error)));
            inner.answer(outcome);
            return result;
        }
    }

    /// Write-through: stores what was just written, or that it is gone, unless something newer is stored.
    ///
    /// `data_version` rises with each write of the data; call it after the write is durable.
    pub async fn put(&self, key: &K, value: Option<&V>, data_version: u64) {
        let (key, inner) = (self.key(key), &*self.inner);
        let _poison = Poison { flights: &inner.flights, key: &key };
        let span = tracing::info_span!("redis.set", cache.key = key);
        async {
            match inner.fill_of(value, Some(data_version)) {
                Some(fill) => _ = inner.call("put", &key, inner.store.put(&key, fill, data_version)).await,
                // What cannot be written must not leave an older value behind.
                None => _ = inner.call("invalidate", &key, inner.store.invalidate(&key, Reach::Remove)).await,
            }
        }
        .instrument(span)
        .await;
    }

    /// Removes the value: whoever asks from now on gets what is loaded from now on.
    pub async fn invalidate(&self, key: &K) {
        self.invalidate_up_to(key, Reach::Remove).await;
    }

    /// Lets the value be loaded anew, and serve until then.
    pub async fn expire(&self, key: &K) {
        self.invalidate_up_to(key, Reach::Expire).await;
    }

    async fn invalidate_up_to(&self, key: &K, reach: Reach) {
        let (key, inner) = (self.key(key), &*self.inner);
        let _poison = Poison { flights: &inner.flights, key: &key };
        let span = tracing::info_span!("redis.delete", cache.key = key);
        inner.call("invalidate", &key, inner.store.invalidate(&key, reach)).instrument(span).await;
    }

    fn key(&self, key: &K) -> String {
        format!("{}:{key}", self.inner.name)
    }
}

impl<V: Serialize + DeserializeOwned> Inner<V> {
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

    pub(crate) fn decode(&self, entry: &Entry) -> Result<Option<V>, Missing> {
        codec::decode(self.policy.schema, &entry.value).inspect_err(|_| self.metrics.unreadable())
    }

    /// What to store for `value`; `None` when it cannot be written down.
    pub(crate) fn fill_of(&self, value: Option<&V>, data_version: Option<u64>) -> Option<Fill> {
        let (soft, hard) = self.policy.lifetimes(value.is_none());
        let bytes = codec::encode(self.policy.schema, value)
            .inspect_err(|error| tracing::warn!(cache = self.name, %error, "a value cannot be cached"));
        bytes.ok().map(|value| Fill { value, data_version, soft, hard, cost: std::time::Duration::ZERO })
    }

    fn answer(&self, outcome: Outcome) {
        self.metrics.answered(outcome);
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

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), keys: PhantomData }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.inner.name)
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}
