//! The cache's instruments, on the process' meter.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram},
};

/// What answered a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Near,
    Store,
    Loader,
}

impl Level {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 3] = [Self::Near, Self::Store, Self::Loader];

    fn name(self) -> &'static str {
        match self {
            Self::Near => "l1",
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
    /// All of them, in the order of their numbers.
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
        let meter = opentelemetry::global::meter("cache");
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let loads = meter.f64_histogram("cache.load.duration").with_unit("s");
        Self {
            outcomes: Level::ALL.map(|level| {
                Outcome::ALL.map(|outcome| {
                    let how = [("cache", cache.to_owned()), ("level", level.name().to_owned())];
                    let [cache, level] = how.map(|(key, value)| KeyValue::new(key, value));
                    [cache, level, KeyValue::new("outcome", outcome.name())]
                })
            }),
            cache: KeyValue::new("cache", cache.to_owned()),
            requests: counter("cache.requests", "Requests by how they were answered."),
            loads: loads.with_description("Time a load took.").build(),
            refused: counter("cache.fill.refused", "Loaded values not stored because they may be stale."),
            errors: counter("cache.errors", "Calls that the store did not answer."),
            unreadable: counter("cache.unreadable", "Values of another wire version or schema."),
        }
    }

    pub(crate) fn answered(&self, level: Level, outcome: Outcome) {
        self.requests.add(1, &self.outcomes[level as usize][outcome as usize]);
    }

    pub(crate) fn loaded(&self, time: Duration) {
        self.loads.record(time.as_secs_f64(), std::slice::from_ref(&self.cache));
    }

    pub(crate) fn refused(&self) {
        self.refused.add(1, std::slice::from_ref(&self.cache));
    }

    pub(crate) fn failed(&self) {
        self.errors.add(1, std::slice::from_ref(&self.cache));
    }

    pub(crate) fn unreadable(&self) {
        self.unreadable.add(1, std::slice::from_ref(&self.cache));
    }
}

/// What a store beyond this process meets.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    heard: Counter<u64>,
    broke: Counter<u64>,
    sent: Counter<u64>,
    lag: Histogram<f64>,
}

impl Remote {
    pub(crate) fn new() -> Self {
        let meter = opentelemetry::global::meter("cache");
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self {
            heard: counter("cache.backplane.received", "Writes by other processes that were heard of."),
            broke: counter("cache.backplane.broken", "How often words of writes may have been missed."),
            sent: counter("cache.backplane.sent", "Writes that the other processes were told of."),
            lag: meter
                .f64_histogram("cache.backplane.lag")
                .with_unit("s")
                .with_description("From a write to its being heard of, by the server's clock.")
                .build(),
        }
    }

    pub(crate) fn heard(&self, lag: Duration) {
        self.heard.add(1, &[]);
        self.lag.record(lag.as_secs_f64(), &[]);
    }

    pub(crate) fn sent(&self) {
        self.sent.add(1, &[]);
    }

    pub(crate) fn broke(&self) {
        self.broke.add(1, &[]);
    }
}

/// Reports what `read` says, as long as it says anything.
pub(crate) fn observe(
    name: &'static str,
    description: &'static str,
    read: impl Fn() -> Option<u64> + Send + Sync + 'static,
) {
    let meter = opentelemetry::global::meter("cache");
    let gauge = meter.u64_observable_gauge(name).with_description(description).with_callback(move |observer| {
        if let Some(value) = read() {
            observer.observe(value, &[]);
        }
    });
    let _registered = gauge.build();
}
