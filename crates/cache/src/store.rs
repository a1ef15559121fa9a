//! The port: what a store must be able to do. `suite` says it in tests.

use std::{fmt, sync::Weak, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::BoxError;

/// Identifies one lease on a key: 128 random bits, new for each load.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(u128);

impl LeaseToken {
    /// Makes a token that nobody else has.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Parses what [`Display`](fmt::Display) has written.
    pub fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was stored, byte for byte.
    pub value: Bytes,
    /// The write that stored it: rises strictly per key with each fill, put and invalidation.
    pub generation: u64,
    /// How long it is still fresh; zero when it is stale.
    pub fresh_for: Duration,
    /// How long its last load took.
    pub load_time: Duration,
}

/// A value to be stored.
#[derive(Clone, Debug)]
pub struct Fill {
    /// What to store.
    pub value: Bytes,
    /// The version of the data it was made from, where that is known.
    pub data_version: Option<u64>,
    /// How long it is fresh.
    pub soft_ttl: Duration,
    /// How long it is kept: after [`Fill::soft_ttl`] it is stale.
    pub hard_ttl: Duration,
    /// How long loading it took.
    pub load_time: Duration,
}

/// Asks for a value, or for the lease to load it.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRequest {
    /// Identifies the lease, should it be granted.
    pub token: LeaseToken,
    /// How long the lease lasts unless it is renewed.
    pub ttl: Duration,
    /// Asks for the lease also when the value is fresh, to refresh it early.
    pub refresh_early: bool,
}

/// The answer to a [`LeaseRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A fresh value.
    Fresh(Entry),
    /// A stale value that somebody else is refreshing.
    Stale(Entry),
    /// A value to refresh: the lease is the caller's.
    Refresh(Entry),
    /// No value: the lease is the caller's.
    Load,
    /// No value, and somebody else is loading it.
    Wait {
        /// The lease under which it is loaded.
        holder: LeaseToken,
        /// When that lease expires unless it is renewed.
        expires_in: Duration,
    },
}

/// How an invalidation treats the stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The value is wrong: it is removed.
    Remove,
    /// The value is old: it becomes stale, so it may still serve while it is loaded anew, or when that fails.
    Expire,
}

/// Is notified of the writes that make a load in progress obsolete.
pub trait Listener: Send + Sync {
    /// `key` was put or invalidated; a load that began before must not serve callers who come after.
    fn on_invalidated(&self, key: &str, generation: u64);

    /// Notifications may have been missed: any key may have been invalidated.
    fn on_notifications_lost(&self);
}

/// Where values and leases live.
///
/// All times are the store's own; a client's clock is never compared with them.
/// Generations rise strictly per key, also after the store has forgotten the key
/// (`max(last + 1, microseconds since 1970)`).
/// Every call may be repeated after an answer was lost, and may be dropped at any await.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A fresh value from this process' memory, no older than the last invalidation that listeners were notified of.
    fn get_local(&self, _key: &str) -> Option<Entry> {
        None
    }

    /// The last value that this process knows, however old: for when neither the store nor the loader answers.
    fn last_known(&self, _key: &str) -> Option<Entry> {
        None
    }

    /// A fresh value.
    ///
    /// # Errors
    ///
    /// Returns why the store did not answer.
    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError>;

    /// A value, or the lease to load it, which one caller at a time has.
    ///
    /// Asked again with the token that has the lease, it renews the lease.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the lease was granted; the caller abandons it then.
    async fn get_or_lease(&self, key: &str, request: &LeaseRequest) -> Result<Lookup, BoxError>;

    /// Lets the lease last for `ttl` from now on; `false` when it has ended.
    ///
    /// # Errors
    ///
    /// Returns why the store did not answer.
    async fn renew(&self, key: &str, token: LeaseToken, ttl: Duration) -> Result<bool, BoxError>;

    /// Stores a loaded value and ends the lease; `false` when it was refused.
    ///
    /// It is refused unless the token still has the lease, which a put, an invalidation or another lease ends,
    /// and when newer data is known of.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was stored.
    async fn fill(&self, key: &str, token: LeaseToken, fill: Fill) -> Result<bool, BoxError>;

    /// Lets a stale value count as fresh for `soft_ttl` and ends the lease; `false` when the lease has ended before.
    ///
    /// # Errors
    ///
    /// Returns why the store did not answer.
    async fn extend(&self, key: &str, token: LeaseToken, soft_ttl: Duration) -> Result<bool, BoxError>;

    /// Ends the lease without a value, soon and without waiting for it.
    fn abandon(&self, key: &str, token: LeaseToken);

    /// Returns when `holder` has no lease on the key any more; early and for no reason is fine.
    ///
    /// An end of the lease before the call is not missed.
    async fn wait(&self, key: &str, holder: LeaseToken);

    /// Stores a value that was just written, and ends any lease; `false` when it was not stored.
    ///
    /// It changes nothing when as new data is known of.
    /// It only removes the value when the key was invalidated in the last ten seconds and no data version has been
    /// seen since: the written data may be older than what the invalidation was about.
    /// The data version is remembered for ten seconds at least, also past the value.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was stored.
    async fn put(&self, key: &str, fill: Fill, data_version: u64) -> Result<bool, BoxError>;

    /// Removes or expires the value, ends any lease, and returns the generation from which on values are valid.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was invalidated.
    async fn invalidate(&self, key: &str, invalidation: Invalidation) -> Result<u64, BoxError>;

    /// Whether the store answers.
    ///
    /// # Errors
    ///
    /// Returns why it does not.
    async fn check(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Notifies `listener` of each put and invalidation, from everywhere; of those made here before they return.
    fn add_listener(&self, listener: Weak<dyn Listener>);
}
