//! What a flight's leader does: ask the store, load under its lease, fill.

use std::{pin::pin, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use crate::{
    codec::Missing,
    error::LoadError,
    metrics::{Level, Outcome},
    store::{Ask, Found, Store, Token},
    values::Values,
};

/// How long to wait at most for word of somebody else's load before asking again.
const POLL: Duration = Duration::from_millis(250);

type Answer<V, E> = (Result<Option<V>, LoadError<E>>, (Level, Outcome));

/// One leader's way to a value.
pub(crate) struct Load<'a, V> {
    cache: &'a Values<V>,
    key: &'a str,
    stamps: &'a [u64],
    token: Token,
    early: bool,
    version_of: fn(&V) -> u64,
}

/// What the store let the leader do.
enum Plan<V> {
    Return(Option<V>, Outcome),
    /// Under the lease, with what to fall back on.
    Load(Result<Option<V>, Missing>),
    /// Without a lease, so that nothing is stored.
    LoadUnstored,
}

impl<'a, V: Serialize + DeserializeOwned> Load<'a, V> {
    pub(crate) fn new(
        cache: &'a Values<V>,
        key: &'a str,
        stamps: &'a [u64],
        early: bool,
        version_of: fn(&V) -> u64,
    ) -> Self {
        Self { cache, key, stamps, token: Token::random(), early, version_of }
    }

    /// Loads with `fetch` unless the store or another node has the value.
    pub(crate) async fn run<E, F, Fut>(mut self, fetch: F) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let lease = Leased { store: &*self.cache.store, key: self.key, token: self.token, ended: false };
        match self.plan().await {
            Plan::Return(value, outcome) => {
                lease.end();
                (Ok(value), (Level::Store, outcome))
            }
            Plan::Load(fallback) => self.load_and_fill(lease, fallback, fetch).await,
            Plan::LoadUnstored => {
                // An answer that was lost may have given the lease: it is abandoned with the guard.
                self.load_behind_the_bulkhead(fetch).await
            }
        }
    }

    async fn plan(&mut self) -> Plan<V> {
        let start = Instant::now();
        loop {
            let ask = Ask { token: self.token, lease: self.cache.policy.lease, early: self.early };
            let asked = self.cache.call("get_or_lease", self.key, self.cache.store.get_or_lease(self.key, &ask));
            let Some(found) = asked.await else { return Plan::LoadUnstored };
            match found {
                Found::Load => return Plan::Load(Err(Missing)),
                Found::Refresh(entry) => return Plan::Load(self.cache.decode(&entry, self.stamps)),
                Found::Fresh(entry) => match self.cache.decode(&entry, self.stamps) {
                    Ok(value) => {
                        let outcome = Outcome::hit(value.as_ref());
                        return Plan::Return(value, outcome);
                    }
                    // Fresh for another release of this service: replace it, or leave it to whoever does.
                    Err(Missing) if self.early => return Plan::LoadUnstored,
                    Err(Missing) => self.early = true,
                },
                Found::Stale(entry) => {
                    return self
                        .cache
                        .decode(&entry, self.stamps)
                        .map_or(Plan::LoadUnstored, |v| Plan::Return(v, Outcome::Stale));
                }
                Found::Wait { holder, left } => {
                    let patience = self.cache.policy.load_timeout.saturating_sub(start.elapsed());
                    if patience.is_zero() {
                        return Plan::LoadUnstored;
                    }
                    let pause = left.min(POLL).min(patience) + Duration::from_millis(rand::random_range(1..=5));
                    let _ = timeout(pause, self.cache.store.wait(self.key, holder)).await;
                }
            }
        }
    }

    async fn load_and_fill<E, F, Fut>(
        &self,
        lease: Leased<'_>,
        fallback: Result<Option<V>, Missing>,
        fetch: F,
    ) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let start = Instant::now();
        match (self.keeping_the_lease(self.load(fetch)).await, fallback) {
            (Ok(value), _) => {
                self.fill(lease, value.as_ref(), start.elapsed()).await;
                (Ok(value), (Level::Loader, Outcome::Miss))
            }
            (Err(_), Ok(stale)) => {
                tracing::warn!(cache.key = self.key, "the value could not be loaded: a stale one serves");
                let throttle = self.cache.policy.throttle;
                let extended = self.cache.store.extend(self.key, self.token, throttle);
                if self.cache.call("extend", self.key, extended).await.is_some() {
                    lease.end();
                }
                (Ok(stale), (Level::Loader, Outcome::Stale))
            }
            (Err(error), Err(Missing)) => (Err(error), (Level::Loader, Outcome::Error)),
        }
    }

    /// Without the store, so that nothing is shared between processes and nothing is stored.
    async fn load_behind_the_bulkhead<E, F, Fut>(&self, fetch: F) -> Answer<V, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let limit = self.cache.policy.load_timeout;
        let loaded = match timeout(limit, self.cache.bulkhead.acquire()).await {
            Ok(_place) => self.load(fetch).await,
            Err(_) => Err(LoadError::TimedOut(limit)),
        };
        match loaded {
            Ok(value) => (Ok(value), (Level::Loader, Outcome::Miss)),
            Err(error) => {
                let last = self.cache.store.last_known(self.key).and_then(|entry| self.cache.decode_any(&entry).ok());
                last.map_or((Err(error), (Level::Loader, Outcome::Error)), |value| {
                    (Ok(value), (Level::Loader, Outcome::Stale))
                })
            }
        }
    }

    async fn load<E, F, Fut>(&self, fetch: F) -> Result<Option<V>, LoadError<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, E>>,
    {
        let (start, limit) = (Instant::now(), self.cache.policy.load_timeout);
        let loaded = timeout(limit, fetch().instrument(tracing::debug_span!("cache.load"))).await;
        self.cache.metrics.loaded(start.elapsed());
        match loaded {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(LoadError::Failed(Arc::new(error))),
            Err(_) => Err(LoadError::TimedOut(limit)),
        }
    }

    /// Runs `work` and renews the lease every third of its length.
    async fn keeping_the_lease<T>(&self, work: impl Future<Output = T>) -> T {
        let lease = self.cache.policy.lease;
        let renewal = async {
            loop {
                sleep(lease / 3).await;
                let renewed = self.cache.store.renew(self.key, self.token, lease);
                if self.cache.call("renew", self.key, renewed).await == Some(false) {
                    // Invalidated meanwhile: the callers who wait get the value, nobody else will.
                    std::future::pending::<()>().await;
                }
            }
        };
        let (mut work, mut renewal) = (pin!(work), pin!(renewal));
        tokio::select! {
            biased;
            output = &mut work => output,
            () = &mut renewal => work.await,
        }
    }

    async fn fill(&self, lease: Leased<'_>, value: Option<&V>, cost: Duration) {
        let Some(mut fill) = self.cache.fill_of(value, self.stamps, value.map(self.version_of)) else { return };
        fill.cost = cost;
        match self.cache.call("fill", self.key, self.cache.store.fill(self.key, self.token, fill)).await {
            Some(true) => lease.end(),
            Some(false) => self.cache.metrics.refused(),
            None => {}
        }
    }
}

/// A lease that may be held: dropped before it has ended, it is abandoned.
struct Leased<'a> {
    store: &'a dyn Store,
    key: &'a str,
    token: Token,
    ended: bool,
}

impl Leased<'_> {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.store.abandon(self.key, self.token);
        }
    }
}
