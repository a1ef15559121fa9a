//! How long values live, and how long things may take.

use std::time::Duration;

/// Times to live and limits of one cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How long a value is fresh, give or take [`Policy::jitter`].
    pub ttl: Duration,
    /// The fraction by which a time to live is randomly longer or shorter, so that what was stored together does not
    /// expire together.
    pub jitter: f64,
    /// How long after it was fresh a value still serves while one caller loads, or when loading fails.
    pub stale_for: Duration,
    /// How long it is remembered that there is no value.
    pub negative_ttl: Duration,
    /// How long a stale value counts as fresh after a failed load.
    pub throttle: Duration,
    /// How long a loader that died keeps others from loading; one that lives renews its lease.
    pub lease_ttl: Duration,
    /// The limit of one load.
    pub load_timeout: Duration,
    /// The limit of one call to the store.
    pub store_timeout: Duration,
    /// How many loads run at the same time while the store is down, so that they do not overload the data's source.
    pub bulkhead: usize,
    /// How eagerly a value is refreshed before it is stale, in times that its load takes (beta of `XFetch`); 0 is never.
    pub early_refresh: f64,
    /// Whether keys are made of secrets, be it by a hash: then no span and no log line has them.
    pub secret_keys: bool,
    /// Raise it when the meaning of stored values changes: values of another schema are not found.
    pub schema: u32,
}

impl Default for Policy {
    /// Five minutes fresh and five more stale, a lease of 3 s, 5 s to load, half a second for the store.
    /// 32 loads at a time without it.
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(5),
            jitter: 0.1,
            stale_for: Duration::from_mins(5),
            negative_ttl: Duration::from_secs(10),
            throttle: Duration::from_secs(30),
            lease_ttl: Duration::from_secs(3),
            load_timeout: Duration::from_secs(5),
            store_timeout: Duration::from_millis(500),
            bulkhead: 32,
            early_refresh: 1.0,
            secret_keys: false,
            schema: 0,
        }
    }
}

impl Policy {
    /// A key as spans and log lines have it.
    pub(crate) fn told<'a>(&self, key: &'a str) -> Option<&'a str> {
        (!self.secret_keys).then_some(key)
    }

    /// The soft and the hard time to live of a value, or of the absence of one.
    pub(crate) fn lifetimes(&self, negative: bool) -> (Duration, Duration) {
        let ttl = if negative { self.negative_ttl } else { self.ttl };
        let jitter = self.jitter.clamp(0.0, 1.0);
        let soft = ttl.mul_f64(rand::random_range(1.0 - jitter..=1.0 + jitter));
        let hard = if negative { soft } else { soft + self.stale_for };
        (soft, hard)
    }

    /// Says whether to refresh a value that took `load_time` to load and is fresh for `fresh_for`.
    ///
    /// Early expiration with probability `exp(-fresh_for / (beta * load_time))`:
    /// Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    pub(crate) fn refreshes_early(&self, load_time: Duration, fresh_for: Duration) -> bool {
        // A chance below 2^-53 is not drawn: its logarithm is above -37.
        if fresh_for.as_secs_f64() > 37.0 * load_time.as_secs_f64() * self.early_refresh {
            return false;
        }
        let chance: f64 = rand::random_range(f64::MIN_POSITIVE..1.0);
        load_time.as_secs_f64() * self.early_refresh * -chance.ln() >= fresh_for.as_secs_f64()
    }
}
