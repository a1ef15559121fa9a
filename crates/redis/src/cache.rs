//! Values and leases on Redis and Redis Cluster, with values that are read often in local memory.
//!
//! A key is one hash in one slot, `{PREFIX:cache:EPOCH:KEY}`, and each call is one script, so it is atomic and goes by
//! the server's clock; a value that is certainly fresh is read without a script.
//! Each write is published to all processes on the channel `PREFIX:cache:feed`; while a process may miss some, it reads
//! from Redis. Writes that Redis could not be told of are kept in a journal, and their keys are not read before it has
//! been replayed.

mod inner;
mod journal;
mod local;
mod metrics;
mod quarantine;
mod reply;
mod server_clock;
mod subscriber;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use cache::{BoxError, Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, Lookup, Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    inner::{ABANDON, EXTEND, GET, GET_OR_LEASE, Inner, PlainRead, RENEW, WATCH_LEASE, millis},
    quarantine::Quarantined,
    reply::UnexpectedReply,
    subscriber::maintain,
};
use crate::{Client, Error, Feed, Subscriber};

/// A store of a cache on one server or on a cluster. Cheap to clone.
#[derive(Clone)]
pub struct CacheStore {
    inner: Arc<Inner>,
    _feed: Arc<Feed>,
}

impl CacheStore {
    /// Connects in the background; its background tasks run on `tracker` until `stop`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidUrl`] with what to write instead.
    pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Self, Error> {
        let inner = Inner::new(Client::open(url)?, tracker);
        let subscriber: Weak<dyn Subscriber> = Arc::<Inner>::downgrade(&inner);
        let feed = Feed::start(&inner.client, inner.channel.clone(), subscriber, tracker, stop);
        let maintenance = maintain(Arc::downgrade(&inner));
        let _detached = tracker.spawn(stop.clone().run_until_cancelled_owned(maintenance));
        Ok(Self { inner, _feed: Arc::new(feed) })
    }
}

impl fmt::Debug for CacheStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CacheStore").field(&self.inner.client).finish()
    }
}

#[async_trait]
impl Store for CacheStore {
    fn get_local(&self, key: &str) -> Option<Entry> {
        self.inner.local.get(key)
    }

    fn last_known(&self, key: &str) -> Option<Entry> {
        self.inner.local.last_known(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        let inner = &*self.inner;
        inner.replay_journal_of(key).await?;
        let read = inner.local.begin_read(key);
        match inner.read_plain(key).await? {
            PlainRead::Fresh(entry) if inner.quarantine.trusts(entry.generation) => {
                inner.local.store(key, read, &entry);
                return Ok(Some(entry));
            }
            PlainRead::Fresh(_) | PlainRead::Missing => return Ok(None),
            PlainRead::Unsure => {}
        }
        let reply = inner.run(&GET, key, &[]).await?;
        if !reply.is("fresh") {
            return Ok(None);
        }
        let entry = reply.entry()?;
        if !inner.quarantine.trusts(entry.generation) {
            return Ok(None);
        }
        inner.local.store(key, read, &entry);
        Ok(Some(entry))
    }

    async fn get_or_lease(&self, key: &str, request: &LeaseRequest) -> Result<Lookup, BoxError> {
        let inner = &*self.inner;
        inner.replay_journal_of(key).await?;
        let read = inner.local.begin_read(key);
        if !request.refresh_early
            && let PlainRead::Fresh(entry) = inner.read_plain(key).await?
            && inner.quarantine.trusts(entry.generation)
        {
            inner.local.store(key, read, &entry);
            return Ok(Lookup::Fresh(entry));
        }
        let (token, ttl) = (request.token.to_string(), millis(request.ttl));
        let run = async |early: &[u8]| inner.run(&GET_OR_LEASE, key, &[token.as_bytes(), ttl.as_bytes(), early]).await;
        let mut reply = run(if request.refresh_early { b"1" } else { b"0" }).await?;
        if reply.is("fresh") && !inner.quarantine.trusts(reply.generation()?) {
            // One caller loads anew, under the lease; those who come meanwhile load without one.
            reply = run(b"1").await?;
            if reply.is("fresh") && !inner.quarantine.trusts(reply.generation()?) {
                return Err(Quarantined.into());
            }
        }
        Ok(match reply.status() {
            b"fresh" => {
                let entry = reply.entry()?;
                inner.local.store(key, read, &entry);
                Lookup::Fresh(entry)
            }
            b"stale" => Lookup::Stale(reply.entry()?),
            b"refresh" => Lookup::Refresh(reply.entry()?),
            b"load" => Lookup::Load,
            b"wait" => Lookup::Wait { holder: reply.token()?, expires_in: Duration::from_millis(reply.number(2)?) },
            _ => return Err(UnexpectedReply.into()),
        })
    }

    async fn renew(&self, key: &str, token: LeaseToken, ttl: Duration) -> Result<bool, BoxError> {
        let (token, ttl) = (token.to_string(), millis(ttl));
        Ok(self.inner.run(&RENEW, key, &[token.as_bytes(), ttl.as_bytes()]).await?.is("1"))
    }

    async fn fill(&self, key: &str, token: LeaseToken, fill: Fill) -> Result<bool, BoxError> {
        let inner = &*self.inner;
        let read = inner.local.begin_read(key);
        let reply = inner.store(key, (b"fill", &token.to_string()), &fill, fill.data_version).await?;
        inner.wake_waiters(key);
        if !reply.is("stored") {
            return Ok(false);
        }
        inner.store_local(key, read, fill, reply.number(1)?);
        Ok(true)
    }

    async fn extend(&self, key: &str, token: LeaseToken, soft_ttl: Duration) -> Result<bool, BoxError> {
        let (token, soft_ttl, inner) = (token.to_string(), millis(soft_ttl), &*self.inner);
        let args = [token.as_bytes(), soft_ttl.as_bytes(), inner.channel.as_bytes(), key.as_bytes()];
        let reply = inner.run(&EXTEND, key, &args).await?;
        inner.wake_waiters(key);
        Ok(reply.is("1"))
    }

    fn abandon(&self, key: &str, token: LeaseToken) {
        let (inner, key) = (Arc::clone(&self.inner), key.to_owned());
        self.inner.spawn(async move {
            let token = token.to_string();
            let args = [token.as_bytes(), inner.channel.as_bytes(), key.as_bytes()];
            // A lease that cannot be ended expires.
            let _ = inner.run(&ABANDON, &key, &args).await;
            inner.wake_waiters(&key);
        });
    }

    async fn wait(&self, key: &str, holder: LeaseToken) {
        let (inner, holder) = (&*self.inner, holder.to_string());
        let waiter = inner.waiter(key);
        loop {
            // Registered before the check, so that no change between the two is missed.
            let changed = waiter.notified();
            let held = inner.run(&WATCH_LEASE, key, &[holder.as_bytes()]).await;
            if !held.is_ok_and(|reply| reply.is("1")) {
                return;
            }
            changed.await;
        }
    }

    async fn put(&self, key: &str, fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        let inner = &*self.inner;
        // Whatever becomes of the call: the local value may be older than what was written.
        let _evict = inner.local.evict_on_drop(key);
        let write = inner.journal.begin_write(key);
        inner.replay_journal_of(key).await?;
        let reply = inner.store(key, (b"put", &inner.source), &fill, Some(data_version)).await?;
        write.confirm();
        if reply.is("refused") {
            return Ok(false);
        }
        inner.notify_own(key, reply.number(1)?);
        Ok(reply.is("stored"))
    }

    async fn invalidate(&self, key: &str, invalidation: Invalidation) -> Result<u64, BoxError> {
        let inner = &*self.inner;
        let _evict = inner.local.evict_on_drop(key);
        let write = inner.journal.begin_write(key);
        let generation = inner.invalidate(key, invalidation).await?;
        write.confirm();
        inner.notify_own(key, generation);
        Ok(generation)
    }

    async fn check(&self) -> Result<(), BoxError> {
        Ok(self.inner.check().await?)
    }

    fn add_listener(&self, listener: Weak<dyn Listener>) {
        self.inner.add_listener(listener);
    }
}
