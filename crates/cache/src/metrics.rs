//! The cache's instruments, on the process' meter.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram},
};
use semconv::{attributes, metrics};

/// What answered a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Local,
    Store,
    Loader,
}

impl Level {
    /// All, in the order of their discriminants.
    const ALL: [Self; 3] = [Self::Local, Self::Store, Self::Loader];

    fn name(self) -> &'static str {
        match self {
            Self::Local => "l1",
            Self::Store => "l2",
            Self::Loader => "loader",
        }
    }
}

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Hit,
    Negative,
    Stale,
    Miss,
    Waited,
    Error,
}

impl Outcome {
    /// All, in the order of their discriminants.
    const ALL: [Self; 6] = [Self::Hit, Self::Negative, Self::Stale, Self::Miss, Self::Waited, Self::Error];

    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Negative => "negative",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Waited => "wait",
            Self::Error => "error",
        }
    }

    pub(crate) fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::Negative | Self::Stale)
    }

    /// A hit on a value, or on the absence of one.
    pub(crate) fn hit<V>(value: Option<&V>) -> Self {
        if value.is_some() { Self::Hit } else { Self::Negative }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    cache: KeyValue,
    /// The attributes of each outcome on each level, made once.
    outcomes: [[[KeyValue; 3]; Outcome::ALL.len()]; Level::ALL.len()],
    requests: Counter<u64>,
    loads: Histogram<f64>,
    refused: Counter<u64>,
    errors: Counter<u64>,
    unreadable: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(cache: &str) -> Self {
        let cache = attributes::CACHE.of(cache.to_owned());
        Self {
            outcomes: Level::ALL.map(|level| {
                Outcome::ALL.map(|outcome| {
                    let level = attributes::CACHE_LEVEL.of(level.name());
                    [cache.clone(), level, attributes::OUTCOME.of(outcome.name())]
                })
            }),
            requests: metrics::CACHE_REQUESTS.instrument(),
            loads: metrics::CACHE_LOAD_DURATION.instrument(),
            refused: metrics::CACHE_FILL_REFUSED.instrument(),
            errors: metrics::CACHE_ERRORS.instrument(),
            unreadable: metrics::CACHE_UNREADABLE.instrument(),
            cache,
        }
    }

    pub(crate) fn answered(&self, level: Level, outcome: Outcome) {
        self.requests.add(1, &self.outcomes[level as usize][outcome as usize]);
    }

    pub(crate) fn loaded(&self, time: Duration) {
        self.loads.record(time.as_secs_f64(), std::slice::from_ref(&self.cache));
    }

    pub(crate) fn fill_refused(&self) {
        self.refused.add(1, std::slice::from_ref(&self.cache));
    }

    pub(crate) fn store_failed(&self) {
        self.errors.add(1, std::slice::from_ref(&self.cache));
    }

    pub(crate) fn unreadable(&self) {
        self.unreadable.add(1, std::slice::from_ref(&self.cache));
    }
}
