//! The local level: values of Redis in this process' memory, as long as this process is notified of each write.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache::Entry;
use tokio::time::Instant;

/// The bound of all values together, in bytes, keys and overhead included.
const CAPACITY: u64 = 4 << 20;
/// What is kept for each value besides its key and bytes, roughly, in bytes.
const OVERHEAD: usize = 256;
/// The longest time that a value is kept, should a notification be lost after all.
const MAX_AGE: Duration = Duration::from_secs(30);
/// How long a value still serves while notifications may be missed.
pub(super) const DISCONNECTED_TTL: Duration = Duration::from_secs(5);
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Local {
    values: moka::sync::Cache<String, LocalEntry>,
    /// How many writes each shard was notified of; what was read before one is not stored after it.
    writes: [Mutex<u64>; SHARDS],
    hasher: RandomState,
    /// Since when notifications may be missed; `None` while none is.
    disconnected_since: RwLock<Option<Instant>>,
    epoch: AtomicU64,
}

#[derive(Clone, Debug)]
struct LocalEntry {
    value: Bytes,
    generation: u64,
    load_time: Duration,
    soft_expiry: Instant,
    stored_at: Instant,
}

/// Evicts a key when it is dropped: when a write of it ends, however it ends.
pub(super) struct EvictOnDrop<'a> {
    local: &'a Local,
    key: &'a str,
}

impl Drop for EvictOnDrop<'_> {
    fn drop(&mut self) {
        self.local.on_write(self.key, u64::MAX);
    }
}

/// A read of Redis in progress: what it brings is stored unless a write was notified of since it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRead {
    writes: u64,
    started: Instant,
}

impl Local {
    pub(super) fn new() -> Self {
        let weigh = |key: &String, entry: &LocalEntry| {
            u32::try_from(OVERHEAD + key.len() + entry.value.len()).unwrap_or(u32::MAX)
        };
        Self {
            values: moka::sync::Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(MAX_AGE).build(),
            writes: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            disconnected_since: RwLock::new(Some(Instant::now())),
            epoch: AtomicU64::new(0),
        }
    }

    fn writes(&self, key: &str) -> MutexGuard<'_, u64> {
        let index = self.hasher.hash_one(key) % SHARDS as u64;
        // The remainder is below the number of shards.
        self.writes[usize::try_from(index).unwrap_or_default()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a read of Redis whose result is to be stored here.
    pub(super) fn begin_read(&self, key: &str) -> PendingRead {
        PendingRead { writes: *self.writes(key), started: Instant::now() }
    }

    /// Stores what was read, unless a write was notified of since the read began.
    pub(super) fn store(&self, key: &str, read: PendingRead, entry: &Entry) {
        if entry.fresh_for.is_zero() {
            return;
        }
        // Locked until it is stored: a write in between would find nothing to evict.
        let writes = self.writes(key);
        if *writes == read.writes {
            let Entry { value, generation, load_time, .. } = entry.clone();
            // From before the server said how long it is fresh, so never too long.
            let soft_expiry = read.started + entry.fresh_for;
            let stored_at = Instant::now();
            self.values.insert(key.to_owned(), LocalEntry { value, generation, load_time, soft_expiry, stored_at });
        }
    }

    /// Takes note of a write: an older value is evicted.
    pub(super) fn on_write(&self, key: &str, generation: u64) {
        let mut writes = self.writes(key);
        *writes += 1;
        if self.values.get(key).is_some_and(|entry| entry.generation < generation) {
            self.values.invalidate(key);
        }
    }

    pub(super) fn evict_on_drop<'a>(&'a self, key: &'a str) -> EvictOnDrop<'a> {
        EvictOnDrop { local: self, key }
    }

    /// A fresh value, no older than the last write that this process was notified of.
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let (entry, now) = (self.values.get(key)?, Instant::now());
        let disconnected_since = *self.disconnected_since.read().unwrap_or_else(PoisonError::into_inner);
        let trusted = disconnected_since.is_none_or(|since| since.max(entry.stored_at) + DISCONNECTED_TTL > now);
        (trusted && entry.soft_expiry > now).then(|| entry.into_entry(now))
    }

    /// The last value that is known, fresh or not.
    pub(super) fn last_known(&self, key: &str) -> Option<Entry> {
        Some(self.values.get(key)?.into_entry(Instant::now()))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Begins an epoch, in which nothing is known yet, unless it is an older one.
    pub(super) fn begin_epoch(&self, epoch: u64) {
        if self.epoch.fetch_max(epoch, Ordering::AcqRel) < epoch {
            self.clear();
        }
    }

    /// From now on each write is notified of.
    pub(super) fn connected(&self) {
        self.clear();
        *self.disconnected_since.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on notifications may be missed.
    pub(super) fn disconnected(&self) {
        *self.disconnected_since.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn clear(&self) {
        // First, so that no read in progress is stored afterwards.
        for shard in &self.writes {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.values.invalidate_all();
    }
}

impl LocalEntry {
    fn into_entry(self, now: Instant) -> Entry {
        Entry {
            value: self.value,
            generation: self.generation,
            fresh_for: self.soft_expiry.saturating_duration_since(now),
            load_time: self.load_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(generation: u64) -> Entry {
        let long = Duration::from_mins(5);
        Entry { value: Bytes::from_static(b"one"), generation, fresh_for: long, load_time: Duration::ZERO }
    }

    #[tokio::test]
    async fn a_read_from_before_a_write_is_not_stored() {
        let local = Local::new();
        let read = local.begin_read("key");
        local.on_write("key", 2);
        local.store("key", read, &entry(1));
        assert_eq!(local.get("key"), None);
        local.store("key", local.begin_read("key"), &entry(2));
        assert_eq!(local.get("key").unwrap().generation, 2);
        local.on_write("key", 2);
        assert!(local.get("key").is_some(), "it is that write's own value");
        local.on_write("key", 3);
        assert_eq!(local.get("key"), None);
    }

    #[tokio::test]
    async fn a_read_from_before_a_reconnection_or_an_epoch_is_not_stored() {
        let local = Local::new();
        for clear in [|local: &Local| local.connected(), |local: &Local| local.begin_epoch(7)] {
            local.store("key", local.begin_read("key"), &entry(1));
            let read = local.begin_read("key");
            clear(&local);
            assert_eq!(local.get("key"), None);
            local.store("key", read, &entry(1));
            assert_eq!(local.get("key"), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_local_value_is_trusted_for_a_while_when_notifications_may_be_missed() {
        let local = Local::new();
        local.connected();
        local.store("key", local.begin_read("key"), &entry(1));
        local.disconnected();
        tokio::time::advance(DISCONNECTED_TTL / 2).await;
        assert!(local.get("key").is_some());
        tokio::time::advance(DISCONNECTED_TTL / 2 + Duration::from_millis(1)).await;
        assert_eq!(local.get("key"), None);
        assert!(local.last_known("key").is_some(), "for when neither Redis nor the loader answers");
    }
}
