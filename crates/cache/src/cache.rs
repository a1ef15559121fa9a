//! The cache that use cases see: cache-aside and write-through, with typed keys; a store that fails is bypassed.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{BoxError, LoadError},
    policy::Policy,
    store::{Invalidation, Store},
    tags::Tags,
    values::Values,
};

/// Values of one kind, by key. Cheap to clone.
///
/// A store that fails is bypassed: reads load, writes go on; it is counted and logged.
pub struct Cache<K, V> {
    values: Arc<Values<V>>,
    tags: Tags<K>,
}

impl<K, V> Cache<K, V>
where
    K: Display,
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Makes a cache on `store`; `name` keeps its keys apart from those of other caches there.
    pub fn new(name: &str, store: Arc<dyn Store>, policy: Policy) -> Self {
        Self { values: Arc::new(Values::new(name.to_owned(), store, policy)), tags: Tags::none() }
    }

    /// Gives each key tags, by which many values are invalidated at once:
    /// the pages of a list that belong to one user, say, or all there are. A key with more than 255 is never found.
    #[must_use]
    pub fn with_tags(mut self, of: fn(&K) -> Vec<String>) -> Self {
        self.tags = Tags::new(of, &self.values);
        self
    }

    /// The value, if it is cached and fresh.
    pub async fn get(&self, key: &K) -> Option<V> {
        let stamps = self.tags.stamps(key).await;
        self.values.get(&self.key(key), &stamps).await
    }

    /// The value, from the cache or else from `fetch`, which runs once for all who ask at the same time.
    ///
    /// The caller who began after a [`put`](Cache::put) or [`invalidate`](Cache::invalidate) has returned
    /// never gets what was loaded before it. `Ok(None)` is remembered too, for a shorter time; errors are not.
    /// Dropping the future is safe: somebody else who waits takes over the load.
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
        let stamps = self.tags.stamps(key).await;
        self.values.get_or_load(&self.key(key), &stamps, version_of, fetch).await
    }

    /// Write-through: stores what was just written, or that it is gone, unless something newer is stored.
    ///
    /// `data_version` rises with each write of the data; call it after the write is durable.
    /// A value with tags is removed instead: it may be older than what its tags were invalidated for.
    pub async fn put(&self, key: &K, value: Option<&V>, data_version: u64) {
        if self.tags.is_used() {
            return self.invalidate(key).await;
        }
        self.values.put(&self.key(key), value, data_version).await;
    }

    /// Removes the value: whoever asks from now on gets what is loaded from now on.
    pub async fn invalidate(&self, key: &K) {
        self.values.invalidate(&self.key(key), Invalidation::Remove).await;
    }

    /// Removes the values of all keys that [have this tag](Cache::with_tags), at the cost of one.
    pub async fn invalidate_tag(&self, tag: &str) {
        self.tags.invalidate(tag).await;
    }

    /// Lets the value be loaded anew, and serve until then.
    pub async fn expire(&self, key: &K) {
        self.values.invalidate(&self.key(key), Invalidation::Expire).await;
    }

    /// Whether the store answers; while it does not, it is bypassed.
    ///
    /// # Errors
    ///
    /// Returns why it does not.
    pub async fn check(&self) -> Result<(), BoxError> {
        self.values.store().check().await
    }

    fn key(&self, key: &K) -> String {
        format!("{}:{key}", self.values.name())
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { values: Arc::clone(&self.values), tags: self.tags.clone() }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.values.name())
            .field("store", self.values.store())
            .finish_non_exhaustive()
    }
}
