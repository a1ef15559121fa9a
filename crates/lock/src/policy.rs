//! How long a lock and its waiters last, and the limits of calls.

use std::time::Duration;

/// How long a lock and its waiters last, and the limits of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a lock outlives its holder's last renewal; it is renewed every third of this.
    pub ttl: Duration,
    /// How long a waiter stays in the queue without asking again; it asks every third of this.
    pub waiter_ttl: Duration,
    /// The longest pause between two attempts of a waiter, should a wake-up be lost.
    pub poll_interval: Duration,
    /// The limit of one call to the backend.
    pub call_timeout: Duration,
}

impl Default for Policy {
    /// A lock lasts for 10 s, a waiter for 3 s; an attempt every second, 1 s for a call.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            waiter_ttl: Duration::from_secs(3),
            poll_interval: Duration::from_secs(1),
            call_timeout: Duration::from_secs(1),
        }
    }
}
