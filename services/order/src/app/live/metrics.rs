//! What is measured of those who watch.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
};

use super::Error;

/// Bounds of the lag in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

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
        let meter = telemetry::meter();
        let counter = |name, what| meter.u64_counter(name).with_description(what).build();
        Self {
            open: meter
                .i64_up_down_counter("order.stream.open")
                .with_description("Open streams of live events.")
                .build(),
            refused: counter("order.stream.refused", "Streams that were refused, because there were too many."),
            too_slow: counter(
                "order.stream.too_slow",
                "Streams that were ended, because their clients took too little.",
            ),
            resumed: counter("order.stream.resumed", "Streams that went on after a cursor, or had to begin anew."),
            lag: meter
                .f64_histogram("order.stream.lag")
                .with_unit("s")
                .with_description("From when it happened until those who watch are sent it.")
                .with_boundaries(SECONDS.to_vec())
                .build(),
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
        self.refused.add(1, &[KeyValue::new("limit", limit)]);
    }

    pub(super) fn too_slow(&self, count: usize) {
        if count > 0 {
            self.too_slow.add(count as u64, &[]);
        }
    }

    pub(super) fn resumed(&self, known: bool) {
        self.resumed.add(1, &[KeyValue::new("outcome", if known { "resumed" } else { "reset" })]);
    }

    pub(super) fn lag(&self, lag: time::Duration) {
        self.lag.record(lag.as_seconds_f64().max(0.0), &[]);
    }
}
