//! The port: what a backend must be able to do. `suite` says it in tests.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::error::BoxError;

/// Identifies one acquisition: 128 random bits, new for each, never those of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u128);

impl Owner {
    /// Makes an owner that nobody else has.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How an owner waits whose acquisition is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Not at all: it was one attempt.
    No,
    /// To be woken; whoever asks first after a release gets the lock.
    Unfair,
    /// In a queue, in the order of asking; nobody gets the lock past a queue in which a live waiter is.
    Fair,
}

/// One attempt to take a lock.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The lock's name.
    pub name: &'a str,
    /// Who takes it.
    pub owner: Owner,
    /// How long the lease lasts unless it is renewed.
    pub ttl: Duration,
    /// How long a waiter is kept without asking again.
    pub waiter_ttl: Duration,
    /// How the owner waits when it is refused.
    pub waiting: Waiting,
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The owner holds the lock.
    Held {
        /// Higher than every fence given out for this name before.
        fence: i64,
    },
    /// Another owner holds it, or is before this one in the queue.
    Busy {
        /// When asking again may help even if nobody releases.
        retry_after: Duration,
    },
}

/// Where leases live.
///
/// All times are the backend's own; a client's clock is never compared with them.
/// Every call may be repeated after an answer was lost, and may be dropped at any await.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Takes the lock if it is free and no live waiter is before the owner in the queue.
    ///
    /// Asked again by the owner who holds it, it renews the lease and answers the same fence.
    /// Fences rise strictly per name, also after the backend has forgotten everything
    /// (`max(last + 1, microseconds since 1970)`).
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the lock was taken; the caller releases then.
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError>;

    /// Lets the lease last for `ttl` from now on; `false` when the owner does not hold the lock any more.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the lease was renewed.
    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError>;

    /// Ends the owner's lease or wait for the name, and wakes the next waiter.
    ///
    /// Answers whether the owner held the lock. Never releases what another owner holds.
    /// An owner is released for good: an acquisition that was sent before and arrives later takes nothing.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was released; the lease expires anyway.
    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError>;

    /// Returns when a waiting owner should ask again; early and for no reason is fine.
    ///
    /// A release between the refusal and this call is not missed.
    /// The caller bounds the wait, so a lost wake-up costs time and nothing else.
    async fn wait(&self, name: &str, owner: Owner);
}
