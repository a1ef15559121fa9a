//! What can go wrong with a lock.

use std::time::Duration;

/// Any cause, as a backend reports it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A lock was not taken, or did not last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else held the lock for as long as the caller could wait.
    #[error("lock {name} is held by somebody else")]
    Busy {
        /// The lock's name.
        name: String,
    },
    /// The lease expired, or was taken away, while it was held.
    ///
    /// Somebody else may hold the lock by now, with a higher fence.
    #[error("lock {name} was lost (fence {fence})")]
    Lost {
        /// The lock's name.
        name: String,
        /// The fence that is void now.
        fence: i64,
    },
    /// A write under the lock was refused, because somebody with a higher fence has written since.
    #[error("lock {name}: somebody with a higher fence than {fence} has written since")]
    Stale {
        /// The lock's name.
        name: String,
        /// The fence that was too low.
        fence: i64,
    },
    /// The backend failed.
    #[error("lock backend failed")]
    Unavailable(#[source] BoxError),
    /// The backend did not answer in time.
    #[error("lock backend did not answer within {0:?}")]
    TimedOut(Duration),
}

impl Error {
    /// Says whether the lock was only held by somebody else, so that trying again later helps.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// Says whether the lock was held and lost.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}
