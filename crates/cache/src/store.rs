//! The port: what a store must be able to do. `suite` says it in tests.

use std::{fmt, sync::Weak, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::BoxError;

/// Identifies one lease on a key: 128 random bits, new for each load.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u128);

impl Token {
    /// Makes a token that nobody else has.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what [`Display`](fmt::Display) has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Token {
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
    /// How long it is fresh; zero when it is stale.
    pub fresh_for: Duration,
    /// What its last load cost.
    pub cost: Duration,
}

/// A value to be stored.
#[derive(Clone, Debug)]
pub struct Fill {
    /// What to store.
    pub value: Bytes,
    /// The version of the data it was made from, where that is known.
    pub data_version: Option<u64>,
    /// How long it is fresh.
    pub soft: Duration,
    /// How long it is kept.
    pub hard: Duration,
    /// What loading it cost.
    pub cost: Duration,
}

/// A question for a value, and for the lease to load it.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Who would load.
    pub token: Token,
    /// How long the lease lasts unless it is renewed.
    pub lease: Duration,
    /// Asks for the lease also when the value is fresh.
    pub early: bool,
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A fresh value.
    Fresh(Entry),
    /// A value that somebody else is refreshing.
    Stale(Entry),
    /// A value to refresh: the lease is the caller's.
    Refresh(Entry),
    /// No value: the lease is the caller's.
    Load,
    /// No value, and somebody else is loading it.
    Wait {
        /// Who loads.
        holder: Token,
        /// When that lease runs out unless it is renewed.
        left: Duration,
    },
}

/// How far an invalidation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The value is wrong: it is removed.
    Remove,
    /// The value is old: it may still serve while it is loaded anew, or when that fails.
    Expire,
}

/// Hears of the writes that make a value under way obsolete.
pub trait Listener: Send + Sync {
    /// `key` was put or invalidated; a load that began before must not serve those who come after.
    fn invalidated(&self, key: &str, generation: u64);

    /// Invalidations may have been missed: any key may have been invalidated.
    fn feed_lost(&self);
}

/// Where values and leases live.
///
/// All times are the store's own; a client's clock is never compared with them.
/// Generations rise strictly per key, also after the store has forgotten the key
/// (`max(last + 1, microseconds since 1970)`).
/// Every call may be repeated after an answer was lost, and may be dropped at any await.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// A fresh value that is at hand without waiting, no older than the last invalidation told to the listeners.
    fn near(&self, _key: &str) -> Option<Entry> {
        None
    }

    /// The last value that is known at hand, however old: for when neither the store nor the loader answers.
    fn last_known(&self, _key: &str) -> Option<Entry> {
        None
    }

    /// A fresh value.
    ///
    /// # Errors
    ///
    /// Returns what keeps the store from answering.
    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError>;

    /// A value, or the lease to load it, which one caller at a time has.
    ///
    /// Asked again with the token that has the lease, it starts the lease anew.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the lease was given; the caller abandons it then.
    async fn get_or_lease(&self, key: &str, ask: &Ask) -> Result<Found, BoxError>;

    /// Starts the lease anew; `false` when it is gone.
    ///
    /// # Errors
    ///
    /// Returns what keeps the store from answering.
    async fn renew(&self, key: &str, token: Token, lease: Duration) -> Result<bool, BoxError>;

    /// Stores a loaded value and ends the lease; `false` when it was refused.
    ///
    /// It is refused unless the token still has the lease, which a put, an invalidation or another lease ends,
    /// and when newer data is known of.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was stored.
    async fn fill(&self, key: &str, token: Token, fill: Fill) -> Result<bool, BoxError>;

    /// Lets a stale value count as fresh for `soft` and ends the lease; `false` when the lease is gone.
    ///
    /// # Errors
    ///
    /// Returns what keeps the store from answering.
    async fn extend(&self, key: &str, token: Token, soft: Duration) -> Result<bool, BoxError>;

    /// Ends the lease without a value, soon and without waiting for it.
    fn abandon(&self, key: &str, token: Token);

    /// Returns when `holder` has no lease on the key any more; early and for no reason is fine.
    ///
    /// An end of the lease before the call is not missed.
    async fn wait(&self, key: &str, holder: Token);

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

    /// Removes or expires the value, ends any lease, and returns the generation from which on values are good.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether it was invalidated.
    async fn invalidate(&self, key: &str, reach: Reach) -> Result<u64, BoxError>;

    /// Tells `listener` of each put and invalidation, from everywhere; of those made here before they return.
    fn listen(&self, listener: Weak<dyn Listener>);
}
