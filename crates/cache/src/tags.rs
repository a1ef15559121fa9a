//! Tags: one write invalidates many values.
//!
//! Each tag has a stamp, a random number that is cached like any value under `CACHE#TAG`. A value bears the stamps that
//! its tags had before it was loaded, and counts as long as they are the same. Invalidating a tag removes its stamp;
//! whoever asks next draws another. A stamp that is lost, or cannot be asked for, costs the values that bear it.
//! No clock, no list of keys, nothing to scan; leases, feeds and journals are those of any value.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::future::join_all;

use crate::{policy::Policy, store::Reach, values::Values};

pub(crate) struct Tags<K>(Option<Stamped<K>>);

struct Stamped<K> {
    of: fn(&K) -> Vec<String>,
    stamps: Arc<Values<u64>>,
}

impl<K> Tags<K> {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Stamps live for a day, much longer than what bears them, and never beyond.
    pub(crate) fn new<V>(of: fn(&K) -> Vec<String>, values: &Values<V>) -> Self {
        let (ttl, stale_for) = (Duration::from_hours(24), Duration::ZERO);
        let policy = Policy { ttl, stale_for, early: 0.0, schema: 0, ..values.policy };
        let stamps = Values::new(format!("{}#", values.name), Arc::clone(&values.store), policy);
        Self(Some(Stamped { of, stamps: Arc::new(stamps) }))
    }

    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// The stamps of the key's tags as they are now, in the tags' order.
    pub(crate) async fn stamps(&self, key: &K) -> Vec<u64> {
        let Some(Stamped { of, stamps }) = &self.0 else { return Vec::new() };
        join_all(of(key).into_iter().map(async |tag| {
            let draw = async || Ok::<_, Infallible>(Some(rand::random()));
            let stamp = stamps.get_or_load(&stamp_key(&stamps.name, &tag), &[], |_| 0, draw).await;
            // A stamp that nothing bears.
            stamp.ok().flatten().unwrap_or_else(rand::random)
        }))
        .await
    }

    pub(crate) async fn invalidate(&self, tag: &str) {
        if let Some(Stamped { stamps, .. }) = &self.0 {
            stamps.invalidate(&stamp_key(&stamps.name, tag), Reach::Remove).await;
        }
    }
}

fn stamp_key(name: &str, tag: &str) -> String {
    format!("{name}{tag}")
}

impl<K> Clone for Tags<K> {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|Stamped { of, stamps }| Stamped { of: *of, stamps: Arc::clone(stamps) }))
    }
}
