//! What is measured of those who watch.

use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use semconv::{attributes, metrics};

use super::Error;

#[derive(Debug)]
pub(super) struct Metrics {
    open: UpDownCounter<i64>,
    refused: Counter<u64>,
    too_slow: Counter<u64>,
    resumed: Counter<u64>,
    lag: Histogram<f64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let open = metrics::ORDER_STREAM_OPEN.instrument();
        open.add(0, &[]);
        Self {
            open,
            refused: metrics::ORDER_STREAM_REFUSED.instrument(),
            too_slow: metrics::ORDER_STREAM_TOO_SLOW.instrument(),
            resumed: metrics::ORDER_STREAM_RESUMED.instrument(),
            lag: metrics::ORDER_STREAM_LAG.instrument(),
        }
    }

    pub(super) fn opened(&self) {
        self.open.add(1, &[]);
    }

    pub(super) fn closed(&self) {
        self.open.add(-1, &[]);
    }

    pub(super) fn refused(&self, why: &Error) {
        let limit = if matches!(why, Error::TooManyStreams) { "account" } else { "all" };
        self.refused.add(1, &[attributes::STREAM_LIMIT.of(limit)]);
    }

    pub(super) fn too_slow(&self, count: usize) {
        if count > 0 {
            self.too_slow.add(count as u64, &[]);
        }
    }

    pub(super) fn resumed(&self, known: bool) {
        self.resumed.add(1, &[attributes::OUTCOME.of(if known { "resumed" } else { "reset" })]);
    }

    pub(super) fn lag(&self, lag: time::Duration) {
        self.lag.record(lag.as_seconds_f64().max(0.0), &[]);
    }
}
