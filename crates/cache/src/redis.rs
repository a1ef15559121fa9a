//! Values and leases on Redis and Redis Cluster, with what is read often near at hand.
//!
//! A key is one hash in one slot, `{PREFIX:cache:EPOCH:KEY}`, and each call is one script, so it happens at once and by
//! the server's clock; a value that is surely fresh is read without one. Each write is told to all processes on the channel `PREFIX:cache:feed`; while a process cannot be
//! sure to hear of each, it asks Redis. What Redis could not be told of is kept in a journal, and nothing is read of
//! those keys until it has been told.

mod answer;
mod breaker;
mod ear;
mod journal;
mod near;
mod quarantine;
mod server_clock;
mod shared;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use ::redis::{Ear, Feed};
use async_trait::async_trait;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    answer::Unreadable,
    quarantine::Quarantined,
    shared::{ABANDON, ASK, EXTEND, GET, HELD, Peek, RENEW, Shared, locked, millis},
};
use crate::{
    error::BoxError,
    store::{Ask, Entry, Fill, Found, Listener, Reach, Store, Token},
};

/// A store on one Redis or on a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    _feed: Arc<Feed>,
}

impl Redis {
    /// Connects in the background; what it does there runs on `tracker` until `stop`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the URL.
    pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Self, ::redis::Error> {
        let shared = Shared::new(::redis::Redis::open(url)?, tracker);
        let ear: Weak<dyn Ear> = Arc::<Shared>::downgrade(&shared);
        let feed = Feed::start(&shared.server, vec![shared.feed.clone()], ear, tracker, stop);
        let _detached = tracker.spawn(stop.clone().run_until_cancelled_owned(ear::tell_late(Arc::downgrade(&shared))));
        Ok(Self { shared, _feed: Arc::new(feed) })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.shared.server).finish()
    }
}

#[async_trait]
impl Store for Redis {
    fn near(&self, key: &str) -> Option<Entry> {
        self.shared.near.get(key)
    }

    fn last_known(&self, key: &str) -> Option<Entry> {
        self.shared.near.last(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        let shared = &*self.shared;
        shared.catch_up(key).await?;
        let ticket = shared.near.ticket(key);
        match shared.peek(key).await? {
            Peek::Fresh(entry) if shared.quarantine.trusts(entry.generation) => {
                shared.near.keep(key, ticket, &entry);
                return Ok(Some(entry));
            }
            Peek::Fresh(_) | Peek::None => return Ok(None),
            Peek::Unsure => {}
        }
        let answer = shared.run(&GET, key, &[]).await?;
        if !answer.is("fresh") {
            return Ok(None);
        }
        let entry = answer.entry()?;
        if !shared.quarantine.trusts(entry.generation) {
            return Ok(None);
        }
        shared.near.keep(key, ticket, &entry);
        Ok(Some(entry))
    }

    async fn get_or_lease(&self, key: &str, ask: &Ask) -> Result<Found, BoxError> {
        let shared = &*self.shared;
        shared.catch_up(key).await?;
        let ticket = shared.near.ticket(key);
        if !ask.early
            && let Peek::Fresh(entry) = shared.peek(key).await?
            && shared.quarantine.trusts(entry.generation)
        {
            shared.near.keep(key, ticket, &entry);
            return Ok(Found::Fresh(entry));
        }
        let (token, lease) = (ask.token.to_string(), millis(ask.lease));
        let run = async |early: &[u8]| shared.run(&ASK, key, &[token.as_bytes(), lease.as_bytes(), early]).await;
        let mut answer = run(if ask.early { b"1" } else { b"0" }).await?;
        if answer.is("fresh") && !shared.quarantine.trusts(answer.number(2)?) {
            // One loads anew, under the lease; who comes meanwhile loads for itself.
            answer = run(b"1").await?;
            if answer.is("fresh") && !shared.quarantine.trusts(answer.number(2)?) {
                return Err(Quarantined.into());
            }
        }
        Ok(match answer.word() {
            b"fresh" => {
                let entry = answer.entry()?;
                shared.near.keep(key, ticket, &entry);
                Found::Fresh(entry)
            }
            b"stale" => Found::Stale(answer.entry()?),
            b"refresh" => Found::Refresh(answer.entry()?),
            b"load" => Found::Load,
            b"wait" => Found::Wait { holder: answer.token()?, left: Duration::from_millis(answer.number(2)?) },
            _ => return Err(Unreadable.into()),
        })
    }

    async fn renew(&self, key: &str, token: Token, lease: Duration) -> Result<bool, BoxError> {
        let (token, lease) = (token.to_string(), millis(lease));
        Ok(self.shared.run(&RENEW, key, &[token.as_bytes(), lease.as_bytes()]).await?.is("1"))
    }

    async fn fill(&self, key: &str, token: Token, fill: Fill) -> Result<bool, BoxError> {
        let shared = &*self.shared;
        let ticket = shared.near.ticket(key);
        let answer = shared.stored(key, (b"fill", &token.to_string()), &fill, fill.data_version).await?;
        shared.wake(key);
        if !answer.is("stored") {
            return Ok(false);
        }
        shared.keep(key, ticket, fill, answer.number(1)?);
        Ok(true)
    }

    async fn extend(&self, key: &str, token: Token, soft: Duration) -> Result<bool, BoxError> {
        let (token, soft, shared) = (token.to_string(), millis(soft), &*self.shared);
        let args = [token.as_bytes(), soft.as_bytes(), shared.feed.as_bytes(), key.as_bytes()];
        let answer = shared.run(&EXTEND, key, &args).await?;
        shared.wake(key);
        Ok(answer.is("1"))
    }

    fn abandon(&self, key: &str, token: Token) {
        let (shared, key) = (Arc::clone(&self.shared), key.to_owned());
        self.shared.in_background(async move {
            let token = token.to_string();
            let args = [token.as_bytes(), shared.feed.as_bytes(), key.as_bytes()];
            // A lease that cannot be ended runs out.
            let _ = shared.run(&ABANDON, &key, &args).await;
            shared.wake(&key);
        });
    }

    async fn wait(&self, key: &str, holder: Token) {
        let (shared, holder) = (&*self.shared, holder.to_string());
        let waiter = shared.waiter(key);
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = waiter.notified();
            let held = shared.run(&HELD, key, &[holder.as_bytes()]).await;
            if !held.is_ok_and(|answer| answer.is("1")) {
                return;
            }
            changed.await;
        }
    }

    async fn put(&self, key: &str, fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        let shared = &*self.shared;
        // Whatever becomes of the call: what is near may be older than what was written.
        let _evict = shared.near.evict_after(key);
        let write = shared.journal.write(key);
        shared.catch_up(key).await?;
        let answer = shared.stored(key, (b"put", &shared.source), &fill, Some(data_version)).await?;
        write.done();
        if answer.is("refused") {
            return Ok(false);
        }
        shared.wrote(key, answer.number(1)?);
        Ok(answer.is("stored"))
    }

    async fn invalidate(&self, key: &str, reach: Reach) -> Result<u64, BoxError> {
        let shared = &*self.shared;
        let _evict = shared.near.evict_after(key);
        let write = shared.journal.write(key);
        let generation = shared.invalidated(key, reach).await?;
        write.done();
        shared.wrote(key, generation);
        Ok(generation)
    }

    fn listen(&self, listener: Weak<dyn Listener>) {
        locked(&self.shared.listeners).push(listener);
    }
}
