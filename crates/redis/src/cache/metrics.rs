//! The instruments of the store, on the process' meter.

use std::time::Duration;

use opentelemetry::{
    global::meter,
    metrics::{AsyncInstrument, Counter, Histogram},
};

const METER: &str = "cache";

/// What passes between processes.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    received: Counter<u64>,
    disconnected: Counter<u64>,
    sent: Counter<u64>,
    lag: Histogram<f64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let counter = |name, text| meter(METER).u64_counter(name).with_description(text).build();
        Self {
            received: counter("cache.backplane.received", "Notifications of writes by other processes."),
            disconnected: counter("cache.backplane.broken", "Disconnections, in which notifications may be missed."),
            sent: counter("cache.backplane.sent", "Writes that the other processes were notified of."),
            lag: meter(METER)
                .f64_histogram("cache.backplane.lag")
                .with_unit("s")
                .with_description("From a write to its notification, by the server's clock.")
                .build(),
        }
    }

    pub(super) fn received(&self, lag: Duration) {
        self.received.add(1, &[]);
        self.lag.record(lag.as_secs_f64(), &[]);
    }

    pub(super) fn sent(&self) {
        self.sent.add(1, &[]);
    }

    pub(super) fn disconnected(&self) {
        self.disconnected.add(1, &[]);
    }
}

/// Reports what `read` returns, as long as it returns anything.
pub(super) fn observe(
    name: &'static str,
    description: &'static str,
    read: impl Fn() -> Option<u64> + Send + Sync + 'static,
) {
    let callback = move |observer: &dyn AsyncInstrument<u64>| {
        if let Some(value) = read() {
            observer.observe(value, &[]);
        }
    };
    let _registered =
        meter(METER).u64_observable_gauge(name).with_description(description).with_callback(callback).build();
}
