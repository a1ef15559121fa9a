//! Values and leases in this process' memory: the embedded default, and the fake of tests.
//!
//! moka keeps the values within a bound; what must outlive them for a while, leases and data versions, is kept apart,
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
    store::{Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, Lookup, Store},
};

/// The bound of all values together, in bytes, unless said otherwise.
const CAPACITY: u64 = 4 << 20;
/// What moka and the store keep for each value besides its key and bytes, roughly, in bytes.
const OVERHEAD: usize = 256;
const SHARDS: usize = 16;
/// How long the data version of the last write is remembered past its value.
const VERSION_RETENTION: Duration = Duration::from_secs(10);

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
    load_time: Duration,
    soft_expiry: Instant,
    hard_expiry: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    keys: Mutex<Keys>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Keys {
    map: HashMap<String, KeyState>,
    /// With so many keys, those that need not be kept any more are removed.
    sweep_at: usize,
}

/// What is kept of a key besides its value.
#[derive(Debug)]
struct KeyState {
    lease: Option<Lease>,
    data_version: Option<u64>,
    /// Until when a put may be older than the last invalidation, whose data version nobody knows.
    unordered_until: Option<Instant>,
    keep_until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    token: LeaseToken,
    until: Instant,
}

impl Memory {
    /// Makes an empty store of 4 MiB; generations begin at the time of `clock`.
    pub fn new(clock: SharedClock) -> Self {
        Self::with_capacity(clock, CAPACITY)
    }

    /// Makes an empty store whose values take at most about `bytes`, keys and overhead included.
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
        let index = self.hasher.hash_one(key) % SHARDS as u64;
        // The remainder is below the number of shards.
        &self.shards[usize::try_from(index).unwrap_or_default()]
    }

    fn next_generation(&self) -> u64 {
        let now = u64::try_from(clock::micros(self.clock.now())).unwrap_or_default();
        let next = |last: u64| now.max(last + 1);
        let last = self.last_generation.update(Ordering::Relaxed, Ordering::Relaxed, next);
        next(last)
    }

    /// The value, unless it has expired.
    fn stored(&self, key: &str, now: Instant) -> Option<Stored> {
        self.values.get(key).filter(|stored| stored.hard_expiry > now)
    }

    /// Runs `update` on the key under its lock.
    fn update<T>(&self, key: &str, update: impl FnOnce(&mut KeyState, Option<Stored>, Instant) -> T) -> T {
        let now = Instant::now();
        let mut keys = self.shard(key).lock();
        keys.sweep(now);
        let stored = self.stored(key, now);
        let state = keys.map.entry(key.to_owned()).or_insert_with(|| KeyState::new(now));
        // A value that outlived its key's state still says how new its data was.
        state.data_version = state.data_version.max(stored.as_ref().and_then(|stored| stored.data_version));
        update(state, stored, now)
    }

    /// Stores under the key's lock.
    fn insert(&self, key: &str, state: &mut KeyState, fill: Fill, now: Instant) -> u64 {
        let generation = self.next_generation();
        if fill.data_version.is_some() {
            state.data_version = state.data_version.max(fill.data_version);
            state.unordered_until = None;
        }
        state.lease = None;
        state.keep_until = now + VERSION_RETENTION;
        let stored = Stored {
            value: fill.value,
            generation,
            data_version: state.data_version,
            load_time: fill.load_time,
            soft_expiry: now + fill.soft_ttl,
            hard_expiry: now + fill.hard_ttl,
        };
        self.values.insert(key.to_owned(), stored);
        generation
    }

    /// Removes the value, and ends any lease, under the key's lock.
    fn remove(&self, key: &str, state: &mut KeyState, now: Instant) -> u64 {
        state.lease = None;
        state.keep_until = now + VERSION_RETENTION;
        self.values.invalidate(key);
        self.next_generation()
    }

    fn wake_waiters(&self, key: &str) {
        self.shard(key).changed.notify_waiters();
    }

    fn notify(&self, key: &str, generation: u64) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                listener.on_invalidated(key, generation);
            }
            listener.is_some()
        });
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Removes what need not be kept any more, at a cost that is constant per call on average.
    fn sweep(&mut self, now: Instant) {
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, state| state.keep_until > now || state.live_lease(now).is_some());
            self.sweep_at = (self.map.len() * 2).max(16);
        }
    }
}

impl KeyState {
    fn new(now: Instant) -> Self {
        Self { lease: None, data_version: None, unordered_until: None, keep_until: now }
    }

    fn live_lease(&self, now: Instant) -> Option<Lease> {
        self.lease.filter(|lease| lease.until > now)
    }

    fn has_lease(&self, token: LeaseToken) -> bool {
        self.lease.is_some_and(|lease| lease.token == token)
    }
}

impl Stored {
    fn entry(&self, now: Instant) -> Entry {
        Entry {
            value: self.value.clone(),
            generation: self.generation,
            fresh_for: self.soft_expiry.saturating_duration_since(now),
            load_time: self.load_time,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.soft_expiry > now
    }
}

#[async_trait]
impl Store for Memory {
    fn get_local(&self, key: &str) -> Option<Entry> {
        let now = Instant::now();
        self.stored(key, now).filter(|stored| stored.is_fresh(now)).map(|stored| stored.entry(now))
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        Ok(self.get_local(key))
    }

    async fn get_or_lease(&self, key: &str, request: &LeaseRequest) -> Result<Lookup, BoxError> {
        Ok(self.update(key, |state, stored, now| {
            let entry = stored.as_ref().map(|stored| stored.entry(now));
            let fresh = stored.is_some_and(|stored| stored.is_fresh(now));
            let other = state.live_lease(now).filter(|lease| lease.token != request.token);
            match (entry, other) {
                (Some(entry), _) if fresh && !request.refresh_early => Lookup::Fresh(entry),
                (Some(entry), Some(_)) if fresh => Lookup::Fresh(entry),
                (Some(entry), Some(_)) => Lookup::Stale(entry),
                (None, Some(other)) => Lookup::Wait { holder: other.token, expires_in: other.until - now },
                (entry, None) => {
                    state.lease = Some(Lease { token: request.token, until: now + request.ttl });
                    entry.map_or(Lookup::Load, Lookup::Refresh)
                }
            }
        }))
    }

    async fn renew(&self, key: &str, token: LeaseToken, ttl: Duration) -> Result<bool, BoxError> {
        Ok(self.update(key, |state, _, now| {
            let held = state.has_lease(token);
            if held {
                state.lease = Some(Lease { token, until: now + ttl });
            }
            held
        }))
    }

    async fn fill(&self, key: &str, token: LeaseToken, fill: Fill) -> Result<bool, BoxError> {
        let stored = self.update(key, |state, _, now| {
            let outdated = fill.data_version.is_some() && fill.data_version < state.data_version;
            let accepted = state.has_lease(token) && !outdated;
            if accepted {
                self.insert(key, state, fill, now);
            }
            accepted
        });
        self.wake_waiters(key);
        Ok(stored)
    }

    async fn extend(&self, key: &str, token: LeaseToken, soft_ttl: Duration) -> Result<bool, BoxError> {
        let extended = self.update(key, |state, stored, now| {
            let held = state.has_lease(token);
            if held {
                state.lease = None;
                if let Some(mut stored) = stored {
                    stored.soft_expiry = stored.soft_expiry.max(now + soft_ttl).min(stored.hard_expiry);
                    self.values.insert(key.to_owned(), stored);
                }
            }
            held
        });
        self.wake_waiters(key);
        Ok(extended)
    }

    fn abandon(&self, key: &str, token: LeaseToken) {
        self.update(key, |state, _, _| state.lease.take_if(|lease| lease.token == token));
        self.wake_waiters(key);
    }

    async fn wait(&self, key: &str, holder: LeaseToken) {
        let shard = self.shard(key);
        loop {
            // Registered before the check, so that no change between the two is missed.
            let changed = shard.changed.notified();
            if !shard.lock().map.get(key).is_some_and(|state| state.has_lease(holder)) {
                return;
            }
            changed.await;
        }
    }

    async fn put(&self, key: &str, mut fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        fill.data_version = Some(data_version);
        let put = self.update(key, |state, stored, now| {
            if state.data_version >= Some(data_version) {
                return None;
            }
            if state.unordered_until.is_some_and(|until| until > now) {
                state.data_version = Some(data_version);
                return Some((false, self.remove(key, state, now)));
            }
            fill.load_time = stored.map_or(fill.load_time, |stored| stored.load_time);
            Some((true, self.insert(key, state, fill, now)))
        });
        let Some((stored, generation)) = put else { return Ok(false) };
        self.wake_waiters(key);
        self.notify(key, generation);
        Ok(stored)
    }

    async fn invalidate(&self, key: &str, invalidation: Invalidation) -> Result<u64, BoxError> {
        let generation = self.update(key, |state, stored, now| {
            state.unordered_until = Some(now + VERSION_RETENTION);
            let generation = self.remove(key, state, now);
            if let (Invalidation::Expire, Some(stored)) = (invalidation, stored) {
                let soft_expiry = stored.soft_expiry.min(now);
                self.values.insert(key.to_owned(), Stored { generation, soft_expiry, ..stored });
            }
            generation
        });
        self.wake_waiters(key);
        self.notify(key, generation);
        Ok(generation)
    }

    fn add_listener(&self, listener: Weak<dyn Listener>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }
}
