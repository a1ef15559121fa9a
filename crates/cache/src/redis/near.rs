//! The first level: values of Redis in this process' memory, as long as this process hears of each write.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::store::Entry;

/// How much the values may weigh together, with what managing them takes.
const CAPACITY: u64 = 4 << 20;
const OVERHEAD: usize = 256;
/// How long a value may stay here, should word of a write be lost after all.
const STAY: Duration = Duration::from_secs(30);
/// How long a value still serves while words of writes may be missed.
pub(super) const ALONE: Duration = Duration::from_secs(5);
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct Near {
    values: moka::sync::Cache<String, Kept>,
    /// How many writes each shard has heard of; what was asked for before one is not kept after it.
    writes: [Mutex<u64>; SHARDS],
    hasher: RandomState,
    /// Since when writes may be missed; `None` while each is heard of.
    alone_since: RwLock<Option<Instant>>,
    epoch: AtomicU64,
}

#[derive(Clone, Debug)]
struct Kept {
    value: Bytes,
    generation: u64,
    cost: Duration,
    soft: Instant,
    at: Instant,
}

/// A write under way.
pub(super) struct Evict<'a> {
    near: &'a Near,
    key: &'a str,
}

impl Drop for Evict<'_> {
    fn drop(&mut self) {
        self.near.written(self.key, u64::MAX);
    }
}

/// Says that no write has been heard of since it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    writes: u64,
    pub(super) asked: Instant,
}

impl Near {
    pub(super) fn new() -> Self {
        let weigh =
            |key: &String, kept: &Kept| u32::try_from(OVERHEAD + key.len() + kept.value.len()).unwrap_or(u32::MAX);
        Self {
            values: moka::sync::Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(STAY).build(),
            writes: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            alone_since: RwLock::new(Some(Instant::now())),
            epoch: AtomicU64::new(0),
        }
    }

    fn writes(&self, key: &str) -> MutexGuard<'_, u64> {
        let place = self.hasher.hash_one(key) % SHARDS as u64;
        // The remainder is below the number of shards.
        self.writes[usize::try_from(place).unwrap_or_default()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a question whose answer is to be kept.
    pub(super) fn ticket(&self, key: &str) -> Ticket {
        Ticket { writes: *self.writes(key), asked: Instant::now() }
    }

    /// Keeps an answer unless a write was heard of since the question.
    pub(super) fn keep(&self, key: &str, ticket: Ticket, entry: &Entry) {
        if entry.fresh_for.is_zero() {
            return;
        }
        let writes = self.writes(key);
        if *writes == ticket.writes {
            let Entry { value, generation, cost, .. } = entry.clone();
            let kept = Kept { value, generation, cost, soft: ticket.asked + entry.fresh_for, at: Instant::now() };
            self.values.insert(key.to_owned(), kept);
        }
    }

    /// Takes note of a write: what is older goes.
    pub(super) fn written(&self, key: &str, generation: u64) {
        let mut writes = self.writes(key);
        *writes += 1;
        if self.values.get(key).is_some_and(|kept| kept.generation < generation) {
            self.values.invalidate(key);
        }
    }

    /// Takes the key away when a write of it ends, however it ends.
    pub(super) fn evict_after<'a>(&'a self, key: &'a str) -> Evict<'a> {
        Evict { near: self, key }
    }

    /// A fresh value, no older than the last write that this process has heard of.
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let (kept, now) = (self.values.get(key)?, Instant::now());
        let alone = *self.alone_since.read().unwrap_or_else(PoisonError::into_inner);
        let trusted = alone.is_none_or(|since| since.max(kept.at) + ALONE > now);
        (trusted && kept.soft > now).then(|| kept.entry(now))
    }

    /// The last that was known, fresh or not, for when nobody else knows.
    pub(super) fn last(&self, key: &str) -> Option<Entry> {
        Some(self.values.get(key)?.entry(Instant::now()))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Begins an epoch in which nothing is known yet; an older one is none.
    pub(super) fn begin(&self, epoch: u64) {
        if self.epoch.fetch_max(epoch, Ordering::AcqRel) < epoch {
            self.forget();
        }
    }

    /// From now on each write is heard of.
    pub(super) fn whole(&self) {
        self.forget();
        *self.alone_since.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on writes may be missed.
    pub(super) fn alone(&self) {
        *self.alone_since.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn forget(&self) {
        for shard in &self.writes {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.values.invalidate_all();
    }
}

impl Kept {
    fn entry(self, now: Instant) -> Entry {
        Entry {
            value: self.value,
            generation: self.generation,
            fresh_for: self.soft.saturating_duration_since(now),
            cost: self.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(generation: u64) -> Entry {
        let long = Duration::from_mins(5);
        Entry { value: Bytes::from_static(b"one"), generation, fresh_for: long, cost: Duration::ZERO }
    }

    #[tokio::test]
    async fn an_answer_from_before_a_write_is_not_kept() {
        let near = Near::new();
        let ticket = near.ticket("key");
        near.written("key", 2);
        near.keep("key", ticket, &entry(1));
        assert_eq!(near.get("key"), None);
        near.keep("key", near.ticket("key"), &entry(2));
        assert_eq!(near.get("key").unwrap().generation, 2);
        near.written("key", 2);
        assert!(near.get("key").is_some(), "it is that write's own value");
        near.written("key", 3);
        assert_eq!(near.get("key"), None);
    }

    #[tokio::test]
    async fn an_answer_from_before_a_break_or_an_epoch_is_not_kept() {
        let near = Near::new();
        for forget in [|near: &Near| near.whole(), |near: &Near| near.begin(7)] {
            near.keep("key", near.ticket("key"), &entry(1));
            let ticket = near.ticket("key");
            forget(&near);
            assert_eq!(near.get("key"), None);
            near.keep("key", ticket, &entry(1));
            assert_eq!(near.get("key"), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_near_is_trusted_for_a_while_when_writes_may_be_missed() {
        let near = Near::new();
        near.whole();
        near.keep("key", near.ticket("key"), &entry(1));
        near.alone();
        tokio::time::advance(ALONE / 2).await;
        assert!(near.get("key").is_some());
        tokio::time::advance(ALONE / 2 + Duration::from_millis(1)).await;
        assert_eq!(near.get("key"), None);
        assert!(near.last("key").is_some(), "for when nobody else knows");
    }
}
