//! Values and leases in this process' memory: the embedded default, and the tests' double.
//!
//! moka keeps the values within a bound; what must outlive them for a while, leases and versions, is kept apart,
//! because an eviction must not make a stale write look new.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use clock::SharedClock;
use tokio::{sync::Notify, time::Instant};

use crate::{
    error::BoxError,
    store::{Ask, Entry, Fill, Found, Listener, Reach, Store, Token},
};

/// How much the values may weigh together unless said otherwise.
const CAPACITY: u64 = 4 << 20;
/// What moka and the store keep for each value besides its key and bytes, roughly.
const OVERHEAD: usize = 256;
const SHARDS: usize = 16;
/// How long the last write's version is remembered past its value.
const MEMORY: Duration = Duration::from_secs(10);

/// A store for one process, bounded by the size of its values.
#[derive(Debug)]
pub struct Memory {
    clock: SharedClock,
    values: moka::sync::Cache<String, Stored>,
    shards: [Shard; SHARDS],
    hasher: RandomState,
    last_generation: AtomicU64,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
}

#[derive(Clone, Debug)]
struct Stored {
    value: Bytes,
    generation: u64,
    data_version: Option<u64>,
    cost: Duration,
    soft: Instant,
    hard: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    keys: Mutex<Keys>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Keys {
    map: HashMap<String, Control>,
    /// How many keys there may be before those that say nothing any more are looked for.
    sweep_at: usize,
}

/// What is known of a key besides its value.
#[derive(Debug)]
struct Control {
    lease: Option<Lease>,
    data_version: Option<u64>,
    /// Until when a put may be older than an invalidation, which says nothing of its version.
    unordered_until: Option<Instant>,
    keep_until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    token: Token,
    until: Instant,
}

impl Memory {
    /// Makes an empty store of 4 MiB; generations start at the time of `clock`.
    pub fn new(clock: SharedClock) -> Self {
        Self::with_capacity(clock, CAPACITY)
    }

    /// Makes an empty store whose values take at most about `bytes`, with their keys and what managing them takes.
    pub fn with_capacity(clock: SharedClock, bytes: u64) -> Self {
        let weigh = |key: &String, stored: &Stored| {
            u32::try_from(OVERHEAD + key.len() + stored.value.len()).unwrap_or(u32::MAX)
        };
        Self {
            clock,
            values: moka::sync::Cache::builder().max_capacity(bytes).weigher(weigh).build(),
            shards: std::array::from_fn(|_| Shard::default()),
            hasher: RandomState::new(),
            last_generation: AtomicU64::new(0),
            listeners: Mutex::default(),
        }
    }

    fn shard(&self, key: &str) -> &Shard {
        let place = self.hasher.hash_one(key) % SHARDS as u64;
        // The remainder is below the number of shards.
        &self.shards[usize::try_from(place).unwrap_or_default()]
    }

    fn next_generation(&self) -> u64 {
        let now = u64::try_from(clock::micros(self.clock.now())).unwrap_or_default();
        let next = |last: u64| now.max(last + 1);
        let last = self.last_generation.update(Ordering::Relaxed, Ordering::Relaxed, next);
        next(last)
    }

    /// The value, unless its time is over.
    fn stored(&self, key: &str, now: Instant) -> Option<Stored> {
        self.values.get(key).filter(|stored| stored.hard > now)
    }

    /// Runs `change` on what is known of the key; nobody else changes the key meanwhile.
    fn change<T>(&self, key: &str, change: impl FnOnce(&mut Control, Option<Stored>, Instant) -> T) -> T {
        let now = Instant::now();
        let mut keys = self.shard(key).locked();
        keys.sweep(now);
        let stored = self.stored(key, now);
        let control = keys.map.entry(key.to_owned()).or_insert_with(|| Control::new(now));
        // A value that outlived the rest still says how new its data was.
        control.data_version = control.data_version.max(stored.as_ref().and_then(|stored| stored.data_version));
        change(control, stored, now)
    }

    /// Stores under the key's lock.
    fn insert(&self, key: &str, control: &mut Control, fill: Fill, now: Instant) -> u64 {
        let generation = self.next_generation();
        if fill.data_version.is_some() {
            control.data_version = control.data_version.max(fill.data_version);
            control.unordered_until = None;
        }
        control.lease = None;
        control.keep_until = now + MEMORY;
        let stored = Stored {
            value: fill.value,
            generation,
            data_version: control.data_version,
            cost: fill.cost,
            soft: now + fill.soft,
            hard: now + fill.hard,
        };
        self.values.insert(key.to_owned(), stored);
        generation
    }

    /// Removes the value, and ends any lease, under the key's lock.
    fn remove(&self, key: &str, control: &mut Control, now: Instant) -> u64 {
        control.lease = None;
        control.keep_until = now + MEMORY;
        self.values.invalidate(key);
        self.next_generation()
    }

    fn wake(&self, key: &str) {
        self.shard(key).changed.notify_waiters();
    }

    fn tell(&self, key: &str, generation: u64) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                listener.invalidated(key, generation);
            }
            listener.is_some()
        });
    }
}

impl Shard {
    fn locked(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Forgets what says nothing any more, at a cost that is constant per call on average.
    fn sweep(&mut self, now: Instant) {
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, control| control.keep_until > now || control.live_lease(now).is_some());
            self.sweep_at = (self.map.len() * 2).max(16);
        }
    }
}

impl Control {
    fn new(now: Instant) -> Self {
        Self { lease: None, data_version: None, unordered_until: None, keep_until: now }
    }

    fn live_lease(&self, now: Instant) -> Option<Lease> {
        self.lease.filter(|lease| lease.until > now)
    }

    fn has_lease(&self, token: Token) -> bool {
        self.lease.is_some_and(|lease| lease.token == token)
    }
}

impl Stored {
    fn entry(&self, now: Instant) -> Entry {
        Entry {
            value: self.value.clone(),
            generation: self.generation,
            fresh_for: self.soft.saturating_duration_since(now),
            cost: self.cost,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.soft > now
    }
}

#[async_trait]
impl Store for Memory {
    fn near(&self, key: &str) -> Option<Entry> {
        let now = Instant::now();
        self.stored(key, now).filter(|stored| stored.is_fresh(now)).map(|stored| stored.entry(now))
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        Ok(self.near(key))
    }

    async fn get_or_lease(&self, key: &str, ask: &Ask) -> Result<Found, BoxError> {
        Ok(self.change(key, |control, stored, now| {
            let entry = stored.as_ref().map(|stored| stored.entry(now));
            let fresh = stored.is_some_and(|stored| stored.is_fresh(now));
            let other = control.live_lease(now).filter(|lease| lease.token != ask.token);
            match (entry, other) {
                (Some(entry), _) if fresh && !ask.early => Found::Fresh(entry),
                (Some(entry), Some(_)) if fresh => Found::Fresh(entry),
                (Some(entry), Some(_)) => Found::Stale(entry),
                (None, Some(other)) => Found::Wait { holder: other.token, left: other.until - now },
                (entry, None) => {
                    control.lease = Some(Lease { token: ask.token, until: now + ask.lease });
                    entry.map_or(Found::Load, Found::Refresh)
                }
            }
        }))
    }

    async fn renew(&self, key: &str, token: Token, lease: Duration) -> Result<bool, BoxError> {
        Ok(self.change(key, |control, _, now| {
            let held = control.has_lease(token);
            if held {
                control.lease = Some(Lease { token, until: now + lease });
            }
            held
        }))
    }

    async fn fill(&self, key: &str, token: Token, fill: Fill) -> Result<bool, BoxError> {
        let stored = self.change(key, |control, _, now| {
            let outdated = fill.data_version.is_some() && fill.data_version < control.data_version;
            let good = control.has_lease(token) && !outdated;
            if good {
                self.insert(key, control, fill, now);
            }
            good
        });
        self.wake(key);
        Ok(stored)
    }

    async fn extend(&self, key: &str, token: Token, soft: Duration) -> Result<bool, BoxError> {
        let extended = self.change(key, |control, stored, now| {
            let held = control.has_lease(token);
            if held {
                control.lease = None;
                if let Some(mut stored) = stored {
                    stored.soft = stored.soft.max(now + soft).min(stored.hard);
                    self.values.insert(key.to_owned(), stored);
                }
            }
            held
        });
        self.wake(key);
        Ok(extended)
    }

    fn abandon(&self, key: &str, token: Token) {
        self.change(key, |control, _, _| control.lease.take_if(|lease| lease.token == token));
        self.wake(key);
    }

    async fn wait(&self, key: &str, holder: Token) {
        let shard = self.shard(key);
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = shard.changed.notified();
            if !shard.locked().map.get(key).is_some_and(|control| control.has_lease(holder)) {
                return;
            }
            changed.await;
        }
    }

    async fn put(&self, key: &str, mut fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        fill.data_version = Some(data_version);
        let put = self.change(key, |control, stored, now| {
            if control.data_version >= Some(data_version) {
                return None;
            }
            if control.unordered_until.is_some_and(|until| until > now) {
                control.data_version = Some(data_version);
                return Some((false, self.remove(key, control, now)));
            }
            fill.cost = stored.map_or(fill.cost, |stored| stored.cost);
            Some((true, self.insert(key, control, fill, now)))
        });
        let Some((stored, generation)) = put else { return Ok(false) };
        self.wake(key);
        self.tell(key, generation);
        Ok(stored)
    }

    async fn invalidate(&self, key: &str, reach: Reach) -> Result<u64, BoxError> {
        let generation = self.change(key, |control, stored, now| {
            control.unordered_until = Some(now + MEMORY);
            let generation = self.remove(key, control, now);
            if let (Reach::Expire, Some(stored)) = (reach, stored) {
                let soft = stored.soft.min(now);
                self.values.insert(key.to_owned(), Stored { generation, soft, ..stored });
            }
            generation
        });
        self.wake(key);
        self.tell(key, generation);
        Ok(generation)
    }

    fn listen(&self, listener: Weak<dyn Listener>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
}
