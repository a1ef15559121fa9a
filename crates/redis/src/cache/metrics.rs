//! The instruments of the store, on the process' meter.

use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, ObservableGauge};
use semconv::{Metric, metrics};

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
        Self {
            received: metrics::CACHE_BACKPLANE_RECEIVED.instrument(),
            disconnected: metrics::CACHE_BACKPLANE_BROKEN.instrument(),
            sent: metrics::CACHE_BACKPLANE_SENT.instrument(),
            lag: metrics::CACHE_BACKPLANE_LAG.instrument(),
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
pub(super) fn observe(metric: &Metric<ObservableGauge<u64>>, read: impl Fn() -> Option<u64> + Send + Sync + 'static) {
    metric.observe(move |observer| {
        if let Some(value) = read() {
            observer.observe(value, &[]);
        }
    });
}
