//! What is measured, named by the OpenTelemetry conventions for messaging where they have a name.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};

use crate::Depth;

/// Bounds of the durations in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// What a relay measures.
pub(crate) struct RelayMetrics {
    sent: Counter<u64>,
    waiting: Gauge<u64>,
    oldest: Gauge<f64>,
    dead: Gauge<u64>,
}

impl RelayMetrics {
    pub(crate) fn new() -> Self {
        let meter = telemetry::meter();
        Self {
            sent: meter
                .u64_counter("messaging.client.sent.messages")
                .with_description("Events published from the outbox.")
                .build(),
            waiting: meter.u64_gauge("messaging.outbox.waiting").with_description("Events in the outbox.").build(),
            oldest: meter
                .f64_gauge("messaging.outbox.oldest.age")
                .with_unit("s")
                .with_description("Age of the oldest event in the outbox.")
                .build(),
            dead: meter
                .u64_gauge("messaging.outbox.dead")
                .with_description("Events in the outbox that the bus refused for good.")
                .build(),
        }
    }

    pub(crate) fn sent(&self, count: usize) {
        self.sent.add(u64::try_from(count).unwrap_or_default(), &[]);
    }

    pub(crate) fn depth(&self, depth: &Depth) {
        self.waiting.record(depth.count, &[]);
        self.oldest.record(depth.oldest.unwrap_or_default().as_secs_f64(), &[]);
        self.dead.record(depth.dead, &[]);
    }
}

/// What a consumer measures.
pub(crate) struct ConsumerMetrics {
    group: KeyValue,
    duration: Histogram<f64>,
    consumed: Counter<u64>,
    waiting: Gauge<u64>,
}

impl ConsumerMetrics {
    pub(crate) fn new(group: &'static str) -> Self {
        let meter = telemetry::meter();
        Self {
            group: KeyValue::new("messaging.consumer.group.name", group),
            duration: meter
                .f64_histogram("messaging.process.duration")
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .with_description("How long handling an event takes.")
                .build(),
            consumed: meter
                .u64_counter("messaging.client.consumed.messages")
                .with_description("Deliveries by what became of them.")
                .build(),
            waiting: meter
                .u64_gauge("messaging.consumer.waiting")
                .with_description("Events that wait for the group or are in its hands.")
                .build(),
        }
    }

    pub(crate) fn processed(&self, kind: &str, outcome: &'static str, took: Duration) {
        let attributes = [
            self.group.clone(),
            KeyValue::new("messaging.destination.name", kind.to_owned()),
            KeyValue::new("outcome", outcome),
        ];
        self.duration.record(took.as_secs_f64(), &attributes[..2]);
        self.consumed.add(1, &attributes);
    }

    pub(crate) fn depth(&self, waiting: u64) {
        self.waiting.record(waiting, std::slice::from_ref(&self.group));
    }
}
