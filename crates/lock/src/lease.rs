//! What the holder knows of its lock: the fence, and until when it is certainly held.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{backend::Owner, error::Error, metrics::stale_write};

/// A held lock, as the work under it sees it: cheap to clone, and unable to release.
#[derive(Clone)]
pub struct Lease(Arc<Inner>);

struct Inner {
    name: String,
    owner: Owner,
    fence: i64,
    taken: Instant,
    valid_until: Mutex<Instant>,
    over: CancellationToken,
}

impl Lease {
    /// Makes the lease of an acquisition sent at `sent`; `None` when the answer came too late.
    pub(crate) fn new(name: &str, owner: Owner, fence: i64, sent: Instant, ttl: Duration) -> Option<Self> {
        let lease = Self(Arc::new(Inner {
            name: name.to_owned(),
            owner,
            fence,
            taken: Instant::now(),
            valid_until: Mutex::new(sent + safe_validity(ttl)),
            over: CancellationToken::new(),
        }));
        lease.check().is_ok().then_some(lease)
    }

    /// The lock's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The fencing token: store it with what you write, and refuse a write with a lower one.
    pub fn fence(&self) -> i64 {
        self.0.fence
    }

    /// A token that is cancelled as soon as the lock is not held any more: lost, released or dropped.
    pub fn token(&self) -> CancellationToken {
        self.0.over.clone()
    }

    /// Says whether the lock is certainly still held.
    ///
    /// It asks the clock, not the backend, so it is cheap and right also after the process was paused.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Lost`] once the lock is not held any more; it never comes back.
    pub fn check(&self) -> Result<(), Error> {
        let valid_until = self.lock_valid_until();
        if Instant::now() >= *valid_until {
            self.0.over.cancel();
        }
        drop(valid_until);
        if self.0.over.is_cancelled() { Err(self.lost_error()) } else { Ok(()) }
    }

    /// Returns once the lock is not held any more. Cancel safe.
    ///
    /// It does not depend on the renewal's task or on the backend: the lease's own deadline is enough.
    pub async fn lost(&self) {
        while self.check().is_ok() {
            let until = *self.lock_valid_until();
            tokio::select! {
                () = self.0.over.cancelled() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Verifies a write that was made on the condition `fence <= FENCE`, by the number of rows that it changed.
    ///
    /// ```sql
    /// UPDATE payment SET status = $1, fence = $2 WHERE id = $3 AND fence <= $2
    /// ```
    ///
    /// Kleppmann, "How to do distributed locking" (2016): the lock cannot keep a paused process from writing late; what
    /// is written to can.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stale`] for none, and counts it: a holder with a higher fence has written since.
    pub fn verify_write(&self, rows_affected: u64) -> Result<(), Error> {
        if rows_affected > 0 {
            return Ok(());
        }
        stale_write();
        Err(Error::Stale { name: self.name().to_owned(), fence: self.fence() })
    }

    pub(crate) fn owner(&self) -> Owner {
        self.0.owner
    }

    pub(crate) fn held_for(&self) -> Duration {
        self.0.taken.elapsed()
    }

    pub(crate) fn valid_until(&self) -> Instant {
        *self.lock_valid_until()
    }

    pub(crate) fn lost_error(&self) -> Error {
        Error::Lost { name: self.0.name.clone(), fence: self.0.fence }
    }

    /// Ends the lease for its holder; the backend is told by a release.
    pub(crate) fn end(&self) {
        let _valid_until = self.lock_valid_until();
        self.0.over.cancel();
    }

    /// Takes note of a renewal that was sent at `sent`; one that comes too late changes nothing.
    pub(crate) fn extend(&self, sent: Instant, ttl: Duration) {
        let mut valid_until = self.lock_valid_until();
        // Whoever has seen it lost must never see it held again.
        if Instant::now() >= *valid_until {
            self.0.over.cancel();
        } else if !self.0.over.is_cancelled() {
            *valid_until = sent + safe_validity(ttl);
        }
    }

    fn lock_valid_until(&self) -> MutexGuard<'_, Instant> {
        self.0.valid_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.0.name)
            .field("fence", &self.0.fence)
            .field("over", &self.0.over.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The part of `ttl` that is certainly over here before it is over at the backend: clocks drift by less than 1 %,
/// and 2 ms cover what a backend rounds away (the drift allowance of the Redlock description).
fn safe_validity(ttl: Duration) -> Duration {
    ttl.saturating_sub(ttl / 100 + Duration::from_millis(2))
}
