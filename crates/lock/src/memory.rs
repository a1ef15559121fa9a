//! Leases in this process' memory: the embedded default, and the fake of tests.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use clock::SharedClock;
use tokio::{sync::Notify, time::Instant};

use crate::{
    backend::{Acquired, Backend, Owner, Request, Waiting},
    error::BoxError,
};

/// A backend for one process. Fences go on rising when the process starts again.
#[derive(Debug)]
pub struct Memory {
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_fence: i64,
    locks: HashMap<String, Lock>,
    /// With so many locks, those that nobody uses any more are removed.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Lock {
    holder: Option<Holder>,
    /// Those who wait in the order of asking.
    queue: VecDeque<Waiter>,
    /// Those who do not.
    unfair: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Holder {
    owner: Owner,
    fence: i64,
    until: Instant,
}

#[derive(Debug)]
struct Waiter {
    owner: Owner,
    until: Instant,
    wake: Arc<Notify>,
}

impl Memory {
    /// Makes a backend on which nothing is locked; fences start at the time of `clock`.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// How many names are locked, waited for or not yet removed.
    pub fn len(&self) -> usize {
        self.state().locks.len()
    }

    /// Says whether nothing is locked or waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes locks whose leases were left to expire, at a cost that is constant per call on average.
    fn sweep(&mut self, now: Instant) {
        if self.locks.len() >= self.sweep_at {
            self.locks.retain(|_, lock| {
                lock.expire(now);
                !lock.is_unused()
            });
            self.sweep_at = (self.locks.len() * 2).max(64);
        }
    }

    fn next_fence(&mut self, now_us: i64) -> i64 {
        self.last_fence = now_us.max(self.last_fence + 1);
        self.last_fence
    }
}

impl Lock {
    fn expire(&mut self, now: Instant) {
        self.holder.take_if(|holder| holder.until <= now);
        self.queue.retain(|waiter| waiter.until > now);
        self.unfair.retain(|waiter| waiter.until > now);
    }

    fn is_unused(&self) -> bool {
        self.holder.is_none() && self.queue.is_empty() && self.unfair.is_empty()
    }

    fn is_free_for(&self, owner: Owner) -> bool {
        self.holder.is_none() && self.queue.front().is_none_or(|first| first.owner == owner)
    }

    fn remove_waiter(&mut self, owner: Owner) {
        self.queue.retain(|waiter| waiter.owner != owner);
        self.unfair.retain(|waiter| waiter.owner != owner);
    }

    fn add_waiter(&mut self, request: &Request<'_>, until: Instant) {
        let waiters = match request.waiting {
            Waiting::No => return,
            Waiting::Unfair => &mut self.unfair,
            Waiting::Fair => &mut self.queue,
        };
        match waiters.iter_mut().find(|waiter| waiter.owner == request.owner) {
            Some(waiter) => waiter.until = until,
            None => waiters.push_back(Waiter { owner: request.owner, until, wake: Arc::default() }),
        }
    }

    /// When asking again may help though nobody releases: when the holder, or the first in the queue, expires.
    fn retry_after(&self, now: Instant) -> Duration {
        let until = self.holder.as_ref().map(|holder| holder.until);
        let until = until.or_else(|| self.queue.front().map(|first| first.until));
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Wakes the next waiter and nobody else.
    fn wake_next(&self) {
        if self.holder.is_none()
            && let Some(next) = self.queue.front().or_else(|| self.unfair.front())
        {
            next.wake.notify_one();
        }
    }
}

#[async_trait]
impl Backend for Memory {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        let (now, now_us) = (Instant::now(), clock::micros(self.clock.now()));
        let mut guard = self.state();
        let state = &mut *guard;
        state.sweep(now);
        let fence = state.next_fence(now_us);
        let lock = state.locks.entry(request.name.to_owned()).or_default();
        lock.expire(now);
        let until = now + request.ttl;
        if let Some(holder) = &mut lock.holder
            && holder.owner == request.owner
        {
            holder.until = until;
            return Ok(Acquired::Held { fence: holder.fence });
        }
        if lock.is_free_for(request.owner) {
            lock.remove_waiter(request.owner);
            lock.holder = Some(Holder { owner: request.owner, fence, until });
            return Ok(Acquired::Held { fence });
        }
        lock.add_waiter(request, now + request.waiter_ttl);
        Ok(Acquired::Busy { retry_after: lock.retry_after(now) })
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        let now = Instant::now();
        let mut state = self.state();
        let holder = state.locks.get_mut(name).and_then(|lock| lock.holder.as_mut());
        Ok(match holder {
            Some(holder) if holder.owner == owner && holder.until > now => {
                holder.until = now + ttl;
                true
            }
            _ => false,
        })
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        let mut state = self.state();
        let Some(lock) = state.locks.get_mut(name) else { return Ok(false) };
        lock.expire(Instant::now());
        lock.remove_waiter(owner);
        let held = lock.holder.take_if(|holder| holder.owner == owner).is_some();
        lock.wake_next();
        if lock.is_unused() {
            state.locks.remove(name);
        }
        Ok(held)
    }

    async fn wait(&self, name: &str, owner: Owner) {
        let wake = self.state().locks.get(name).and_then(|lock| {
            let mut waiters = lock.queue.iter().chain(&lock.unfair);
            waiters.find(|waiter| waiter.owner == owner).map(|waiter| Arc::clone(&waiter.wake))
        });
        if let Some(wake) = wake {
            wake.notified().await;
        }
    }
}
