//! Tags: one write invalidates many values.
//!
//! Each tag has a stamp, a random number that is cached like any value under `CACHE#TAG`. A value is stored with the
//! stamps that its tags had before it was loaded, and is valid as long as they are the same. Invalidating a tag removes
//! its stamp; whoever asks next draws another. A stamp that is evicted, or cannot be read, makes the values that have it
//! invalid. No clock, no list of keys, nothing to scan; leases and notifications are those of any value.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::future::join_all;

use crate::{policy::Policy, store::Invalidation, values::Values};

/// The tags of a cache's keys, if it has any.
pub(crate) struct Tags<K>(Option<Tagged<K>>);

struct Tagged<K> {
    of: fn(&K) -> Vec<String>,
    stamps: Arc<Values<u64>>,
}

impl<K> Tags<K> {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Stamps live for a day, much longer than the values that have them, and are never served stale.
    pub(crate) fn new<V>(of: fn(&K) -> Vec<String>, values: &Values<V>) -> Self {
        let (ttl, stale_for) = (Duration::from_hours(24), Duration::ZERO);
        let policy = Policy { ttl, stale_for, early_refresh: 0.0, schema: 0, ..values.policy() };
        let stamps = Values::new(format!("{}#", values.name()), Arc::clone(values.store()), policy);
        Self(Some(Tagged { of, stamps: Arc::new(stamps) }))
    }

    pub(crate) fn is_used(&self) -> bool {
        self.0.is_some()
    }

    /// The stamps of the key's tags as they are now, in the tags' order.
    pub(crate) async fn stamps(&self, key: &K) -> Vec<u64> {
        let Some(Tagged { of, stamps }) = &self.0 else { return Vec::new() };
        join_all(of(key).into_iter().map(async |tag| {
            let draw = async || Ok::<_, Infallible>(Some(rand::random()));
            let stamp = stamps.get_or_load(&stamp_key(stamps.name(), &tag), &[], |_| 0, draw).await;
            // A stamp that no value has.
            stamp.ok().flatten().unwrap_or_else(rand::random)
        }))
        .await
    }

    pub(crate) async fn invalidate(&self, tag: &str) {
        if let Some(Tagged { stamps, .. }) = &self.0 {
            stamps.invalidate(&stamp_key(stamps.name(), tag), Invalidation::Remove).await;
        }
    }
}

fn stamp_key(name: &str, tag: &str) -> String {
    format!("{name}{tag}")
}

impl<K> Clone for Tags<K> {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|Tagged { of, stamps }| Tagged { of: *of, stamps: Arc::clone(stamps) }))
    }
}
