//! The limiter of one process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{Decision, Error, Limiter, Quota};

/// Fewer keys are not looked through for those that can be forgotten.
const FEW: usize = 1_024;

/// Counts in memory, for one process.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    /// When all permits of a key are there again.
    full_at: HashMap<String, Instant>,
    /// With how many keys they are looked through next: each is looked at once for each that came.
    sweep_at: usize,
}

impl Keys {
    fn sweep(&mut self, now: Instant) {
        if self.full_at.len() >= self.sweep_at.max(FEW) {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = self.full_at.len() * 2;
        }
    }
}

impl Memory {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Limiter for Memory {
    async fn take(&self, key: &str, quota: Quota) -> Result<Decision, Error> {
        let (mut keys, now) = (self.keys(), Instant::now());
        let full_at = keys.full_at.get(key).map_or(now, |full_at| (*full_at).max(now)) + quota.refill;
        let retry_after = full_at.duration_since(now).saturating_sub(quota.window());
        if retry_after > Duration::ZERO {
            return Ok(Decision::Refused { retry_after });
        }
        keys.sweep(now);
        keys.full_at.insert(key.to_owned(), full_at);
        Ok(Decision::Allowed)
    }

    async fn give_back(&self, key: &str, quota: Quota) -> Result<(), Error> {
        if let Some(full_at) = self.keys().full_at.get_mut(key) {
            // Never before now, and so never before the clock's beginning, where there is no instant.
            let now = Instant::now();
            *full_at = full_at.checked_sub(quota.refill).map_or(now, |earlier| earlier.max(now));
        }
        Ok(())
    }

    async fn reset(&self, key: &str) -> Result<(), Error> {
        self.keys().full_at.remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod contract {
        testkit::suite! { crate::suite, &crate::Memory::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_forgotten() {
        let limiter = Memory::default();
        let quota = Quota { burst: 3, refill: Duration::from_secs(1) };
        for n in 0..10 * FEW {
            limiter.take(&n.to_string(), quota).await.unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(limiter.keys().full_at.len() <= 2 * FEW, "{}", limiter.keys().full_at.len());
    }
}
