//! A store as one cache uses it: values of one type, each call under a limit, failures counted and never passed on.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use resilience::Outage;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    codec::{self, Missing},
    error::BoxError,
    metrics::Metrics,
    policy::Policy,
    store::{Entry, Fill, Store},
};

/// Stamps are those of the key's tags: a value that has others does not count.
pub(crate) struct TypedStore<V> {
    pub(crate) name: String,
    /// For calls, which [`TypedStore::call`] bounds, and for what needs none.
    pub(crate) raw: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    outage: Outage,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> TypedStore<V> {
    pub(crate) fn new(name: String, raw: Arc<dyn Store>, policy: Policy) -> Self {
        let metrics = Metrics::new(&name);
        Self { name, raw, policy, metrics, outage: Outage::default(), value: PhantomData }
    }

    /// Awaits a call to the store under its limit; a failure is counted and no answer, and logged where it is time to.
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        key: &str,
        call: impl Future<Output = Result<T, BoxError>>,
    ) -> Option<T> {
        let error: BoxError = match timeout(self.policy.store_timeout, call).await {
            Ok(Ok(answer)) => {
                if let Some(failures) = self.outage.ended() {
                    tracing::info!(cache = self.name, failures, "cache is used again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        self.metrics.store_failed();
        if let Some(failures) = self.outage.failed() {
            let (key, error): (_, &dyn std::error::Error) = (self.policy.told(key), &*error);
            tracing::warn!(cache.key = key, cache.operation = operation, error, failures, "cache bypassed");
        }
        None
    }

    /// The value of an entry that has these stamps.
    pub(crate) fn decode(&self, entry: &Entry, stamps: &[u64]) -> Result<Option<V>, Missing> {
        if !codec::has_stamps(&entry.value, stamps) {
            return Err(Missing);
        }
        self.decode_any(entry)
    }

    /// The value of an entry, whatever stamps it has.
    pub(crate) fn decode_any(&self, entry: &Entry) -> Result<Option<V>, Missing> {
        codec::decode(self.policy.schema, &entry.value).inspect_err(|_| self.metrics.unreadable())
    }

    /// What to store for `value`; `None` when it cannot be serialized.
    pub(crate) fn encode(&self, value: Option<&V>, stamps: &[u64], data_version: Option<u64>) -> Option<Fill> {
        let (soft_ttl, hard_ttl) = self.policy.lifetimes(value.is_none());
        let bytes = codec::encode(self.policy.schema, stamps, value)
            .inspect_err(|error| tracing::warn!(cache = self.name, %error, "value not cached: it does not serialize"));
        bytes.ok().map(|value| Fill { value, data_version, soft_ttl, hard_ttl, load_time: Duration::ZERO })
    }
}
