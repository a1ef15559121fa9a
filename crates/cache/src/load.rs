//! What a flight's leader does: ask the store, load under its lease, fill.

use std::{pin::pin, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument;

use crate::{
    codec::Missing,
    error::LoadError,
    metrics::{Level, Outcome},
    store::{LeaseRequest, LeaseToken, Lookup, Store},
    typed_store::TypedStore,
};

/// How long to wait at most for the end of somebody else's load before asking again, should its notification be lost.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

type Answer<V, E> = (Result<Option<V>, LoadError<E>>, (Level, Outcome));

/// Loads values into a store.
pub(crate) struct Loader<V> {
    pub(crate) store: TypedStore<V>,
    /// Bounds the loads that run without a lease.
    bulkhead: Semaphore,
}

/// One load by a flight's leader.
pub(crate) struct Load<'a, V> {
    loader: &'a Loader<V>,
    key: &'a str,
    stamps: &'a [u64],
    token: LeaseToken,
    refresh_early: bool,
    version_of: fn(&V) -> u64,
}

/// What the store let the leader do.
enum Plan<V> {
    Return(Option<V>, Outcome),
    /// Under the lease, with a stale value to fall back on.
    Load(Result<Option<V>, Missing>),
    /// Without a lease, so that nothing is stored.
    LoadUnstored,
}

impl<V: Serialize + DeserializeOwned> Loader<V> {
    pub(crate) fn new(store: TypedStore<V>) -> Self {
        let bulkhead = Semaphore::new(store.policy.bulkhead.max(1));
        Self { store, bulkhead }
    }

    pub(crate) fn load<'a>(
        &'a self,
        key: &'a str,
        stamps: &'a [u64],
        refresh_early: bool,
        version_of: fn(&V) -> u64,
    ) -> Load<'a, V> {
        Load { loader: self, key, stamps, token: LeaseToken::random(), refresh_early, version_of }
    }
}

impl<'a, V: Serialize + DeserializeOwned> Load<'a, V> {
    fn store(&self) -> &'a TypedStore<V> {
        &self.loader.store
    }

    /// Loads with `fetch` unless the store or another node has the value.
    pub(crate) async fn run<E, F, Fut>(mut self, fetch: F) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        // Before the first request: whoever drops this future may not know yet whether the lease was granted.
        let lease = AbandonOnDrop { store: &*self.store().raw, key: self.key, token: self.token, ended: false };
        match self.plan().await {
            Plan::Return(value, outcome) => {
                lease.end();
                (Ok(value), (Level::Store, outcome))
            }
            Plan::Load(fallback) => self.load_and_fill(lease, fallback, fetch).await,
            Plan::LoadUnstored => {
                // An answer that was lost may have granted the lease: dropping `lease` abandons it.
                self.load_in_bulkhead(fetch).await
            }
        }
    }

    async fn plan(&mut self) -> Plan<V> {
        let (store, start) = (self.store(), Instant::now());
        loop {
            let (ttl, refresh_early) = (store.policy.lease_ttl, self.refresh_early);
            let request = LeaseRequest { token: self.token, ttl, refresh_early };
            let answer = store.call("get_or_lease", self.key, store.raw.get_or_lease(self.key, &request));
            let Some(lookup) = answer.await else { return Plan::LoadUnstored };
            match lookup {
                Lookup::Load => return Plan::Load(Err(Missing)),
                Lookup::Refresh(entry) => return Plan::Load(store.decode(&entry, self.stamps)),
                Lookup::Fresh(entry) => match store.decode(&entry, self.stamps) {
                    Ok(value) => {
                        let outcome = Outcome::hit(value.as_ref());
                        return Plan::Return(value, outcome);
                    }
                    // Fresh for another release of this service, or of other stamps: replace it, or leave it to
                    // whoever has the lease to do so.
                    Err(Missing) if refresh_early => return Plan::LoadUnstored,
                    Err(Missing) => self.refresh_early = true,
                },
                Lookup::Stale(entry) => {
                    let value = store.decode(&entry, self.stamps);
                    return value.map_or(Plan::LoadUnstored, |value| Plan::Return(value, Outcome::Stale));
                }
                Lookup::Wait { holder, expires_in } => {
                    let remaining = store.policy.load_timeout.saturating_sub(start.elapsed());
                    if remaining.is_zero() {
                        return Plan::LoadUnstored;
                    }
                    // A few ms more, so that waiters of several processes do not all ask at the same instant.
                    let jitter = Duration::from_millis(rand::random_range(1..=5));
                    let pause = expires_in.min(POLL_INTERVAL).min(remaining) + jitter;
                    let _ = timeout(pause, store.raw.wait(self.key, holder)).await;
                }
            }
        }
    }

    async fn load_and_fill<E, F, Fut>(
        &self,
        lease: AbandonOnDrop<'_>,
        fallback: Result<Option<V>, Missing>,
        fetch: F,
    ) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let start = Instant::now();
        match (self.with_lease_renewal(self.fetch(fetch)).await, fallback) {
            (Ok(value), _) => {
                // Refused if the key was written meanwhile: then the value may be older than that write.
                self.fill(lease, value.as_ref(), start.elapsed()).await;
                (Ok(value), (Level::Loader, Outcome::Miss))
            }
            (Err(error), Ok(stale)) => {
                tracing::warn!(cache.key = self.store().policy.told(self.key), %error, "load failed; serving stale value");
                let store = self.store();
                let extended = store.raw.extend(self.key, self.token, store.policy.throttle);
                if store.call("extend", self.key, extended).await.is_some() {
                    lease.end();
                }
                (Ok(stale), (Level::Loader, Outcome::Stale))
            }
            (Err(error), Err(Missing)) => (Err(error), (Level::Loader, Outcome::Error)),
        }
    }

    /// Loads without the store, so that nothing is shared between processes and nothing is stored.
    async fn load_in_bulkhead<E, F, Fut>(&self, fetch: F) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let (store, limit) = (self.store(), self.store().policy.load_timeout);
        let loaded = match timeout(limit, self.loader.bulkhead.acquire()).await {
            Ok(_permit) => self.fetch(fetch).await,
            Err(_) => Err(LoadError::TimedOut(limit)),
        };
        match loaded {
            Ok(value) => (Ok(value), (Level::Loader, Outcome::Miss)),
            Err(error) => {
                let last_known = store.raw.last_known(self.key).and_then(|entry| store.decode_any(&entry).ok());
                last_known.map_or((Err(error), (Level::Loader, Outcome::Error)), |value| {
                    (Ok(value), (Level::Loader, Outcome::Stale))
                })
            }
        }
    }

    async fn fetch<E, F, Fut>(&self, fetch: F) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let (start, limit) = (Instant::now(), self.store().policy.load_timeout);
        let loaded = timeout(limit, fetch().instrument(tracing::info_span!("cache.load"))).await;
        self.store().metrics.loaded(start.elapsed());
        match loaded {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(LoadError::Failed(Arc::new(error))),
            Err(_) => Err(LoadError::TimedOut(limit)),
        }
    }

    /// Runs `work` and renews the lease every third of its length.
    async fn with_lease_renewal<T>(&self, work: impl Future<Output = T>) -> T {
        let (store, ttl) = (self.store(), self.store().policy.lease_ttl);
        let renewal = async {
            loop {
                // A third, so that one lost renewal does not lose the lease.
                sleep(ttl / 3).await;
                let renewed = store.raw.renew(self.key, self.token, ttl);
                if store.call("renew", self.key, renewed).await == Some(false) {
                    // Invalidated meanwhile: those who wait get the value, and it will not be stored.
                    std::future::pending::<()>().await;
                }
            }
        };
        let (mut work, mut renewal) = (pin!(work), pin!(renewal));
        tokio::select! {
            // When both are ready the work's output is not delayed by a renewal.
            biased;
            output = &mut work => output,
            () = &mut renewal => work.await,
        }
    }

    async fn fill(&self, lease: AbandonOnDrop<'_>, value: Option<&V>, load_time: Duration) {
        let store = self.store();
        let Some(mut fill) = store.encode(value, self.stamps, value.map(self.version_of)) else { return };
        fill.load_time = load_time;
        match store.call("fill", self.key, store.raw.fill(self.key, self.token, fill)).await {
            Some(true) => lease.end(),
            Some(false) => store.metrics.fill_refused(),
            None => {}
        }
    }
}

/// A lease that may be held: dropped before it has ended, it is abandoned.
struct AbandonOnDrop<'a> {
    store: &'a dyn Store,
    key: &'a str,
    token: LeaseToken,
    ended: bool,
}

impl AbandonOnDrop<'_> {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.store.abandon(self.key, self.token);
        }
    }
}
