//! Leases in this process' memory: the embedded default, and the tests' double.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use clock::SharedClock;
use tokio::{sync::Notify, time::Instant};

use crate::{
    backend::{Acquired, Backend, Owner, Request, Turn},
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
    names: HashMap<String, Name>,
    /// How many names there may be before those that nobody uses any more are looked for.
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Name {
    holder: Option<Holder>,
    line: VecDeque<Waiter>,
    others: VecDeque<Waiter>,
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

    /// How many names are locked, waited for or not yet forgotten.
    pub fn len(&self) -> usize {
        self.state().names.len()
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
    /// Forgets names that were left to run out, at a cost that is constant per call on average.
    fn sweep(&mut self, now: Instant) {
        if self.names.len() >= self.sweep_at {
            self.names.retain(|_, name| {
                name.expire(now);
                !name.is_unused()
            });
            self.sweep_at = (self.names.len() * 2).max(64);
        }
    }

    fn next_fence(&mut self, now_us: i64) -> i64 {
        self.last_fence = now_us.max(self.last_fence + 1);
        self.last_fence
    }
}

impl Name {
    fn expire(&mut self, now: Instant) {
        self.holder.take_if(|holder| holder.until <= now);
        self.line.retain(|waiter| waiter.until > now);
        self.others.retain(|waiter| waiter.until > now);
    }

    fn is_unused(&self) -> bool {
        self.holder.is_none() && self.line.is_empty() && self.others.is_empty()
    }

    fn is_free_for(&self, owner: Owner) -> bool {
        self.holder.is_none() && self.line.front().is_none_or(|first| first.owner == owner)
    }

    fn forget_waiter(&mut self, owner: Owner) {
        self.line.retain(|waiter| waiter.owner != owner);
        self.others.retain(|waiter| waiter.owner != owner);
    }

    fn note_waiter(&mut self, request: &Request<'_>, until: Instant) {
        let line = match request.turn {
            Turn::Once => return,
            Turn::Waiting => &mut self.others,
            Turn::Queued => &mut self.line,
        };
        match line.iter_mut().find(|waiter| waiter.owner == request.owner) {
            Some(waiter) => waiter.until = until,
            None => line.push_back(Waiter { owner: request.owner, until, wake: Arc::default() }),
        }
    }

    /// When asking again may help though nobody releases: the holder, or the first in line, is gone.
    fn retry_in(&self, now: Instant) -> Duration {
        let until = self.holder.as_ref().map(|holder| holder.until);
        let until = until.or_else(|| self.line.front().map(|first| first.until));
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Wakes the one whose turn it is, and nobody else.
    fn wake_next(&self) {
        if self.holder.is_none()
            && let Some(next) = self.line.front().or_else(|| self.others.front())
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
        let name = state.names.entry(request.name.to_owned()).or_default();
        name.expire(now);
        let until = now + request.ttl;
        if let Some(holder) = &mut name.holder
            && holder.owner == request.owner
        {
            holder.until = until;
            return Ok(Acquired::Held { fence: holder.fence });
        }
        if name.is_free_for(request.owner) {
            name.forget_waiter(request.owner);
            name.holder = Some(Holder { owner: request.owner, fence, until });
            return Ok(Acquired::Held { fence });
        }
        name.note_waiter(request, now + request.place);
        Ok(Acquired::Busy { retry_in: name.retry_in(now) })
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        let now = Instant::now();
        let mut state = self.state();
        let holder = state.names.get_mut(name).and_then(|name| name.holder.as_mut());
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
        let Some(entry) = state.names.get_mut(name) else { return Ok(false) };
        entry.expire(Instant::now());
        entry.forget_waiter(owner);
        let held = entry.holder.take_if(|holder| holder.owner == owner).is_some();
        entry.wake_next();
        if entry.is_unused() {
            state.names.remove(name);
        }
        Ok(held)
    }

    async fn wait(&self, name: &str, owner: Owner) {
        let wake = self.state().names.get(name).and_then(|name| {
            let mut waiters = name.line.iter().chain(&name.others);
            waiters.find(|waiter| waiter.owner == owner).map(|waiter| Arc::clone(&waiter.wake))
        });
        if let Some(wake) = wake {
            wake.notified().await;
        }
    }
}
