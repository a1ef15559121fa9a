//! What is measured.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use semconv::{attributes, metrics};
use time::OffsetDateTime;

use crate::Depth;

/// What a relay measures.
pub(crate) struct RelayMetrics {
    sent: Counter<u64>,
    waiting: Gauge<u64>,
    oldest: Gauge<f64>,
    dead: Gauge<u64>,
}

impl RelayMetrics {
    pub(crate) fn new() -> Self {
        Self {
            sent: metrics::MESSAGING_CLIENT_SENT_MESSAGES.instrument(),
            waiting: metrics::MESSAGING_OUTBOX_WAITING.instrument(),
            oldest: metrics::MESSAGING_OUTBOX_OLDEST_AGE.instrument(),
            dead: metrics::MESSAGING_OUTBOX_DEAD.instrument(),
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
    delay: Histogram<f64>,
    dead_letters: Counter<u64>,
    waiting: Gauge<u64>,
}

impl ConsumerMetrics {
    pub(crate) fn new(group: &'static str) -> Self {
        let group = attributes::MESSAGING_CONSUMER_GROUP_NAME.of(group);
        let dead_letters = metrics::MESSAGING_CONSUMER_DEAD_LETTERS.instrument();
        // Known from the beginning: the first one is a rise, which an alert sees.
        dead_letters.add(0, std::slice::from_ref(&group));
        Self {
            group,
            duration: metrics::MESSAGING_PROCESS_DURATION.instrument(),
            consumed: metrics::MESSAGING_CLIENT_CONSUMED_MESSAGES.instrument(),
            delay: metrics::MESSAGING_PROCESS_DELAY.instrument(),
            dead_letters,
            waiting: metrics::MESSAGING_CONSUMER_WAITING.instrument(),
        }
    }

    pub(crate) fn processed(&self, kind: &str, outcome: &'static str, took: Duration) {
        let attributes = [
            self.group.clone(),
            attributes::MESSAGING_DESTINATION_NAME.of(kind.to_owned()),
            attributes::OUTCOME.of(outcome),
        ];
        self.duration.record(took.as_secs_f64(), &attributes[..2]);
        self.consumed.add(1, &attributes);
    }

    /// An event was applied that happened at `time`, by the clock of the service that it is of.
    pub(crate) fn applied(&self, time: OffsetDateTime) {
        let delay = (clock::system().now() - time).as_seconds_f64().max(0.0);
        self.delay.record(delay, std::slice::from_ref(&self.group));
    }

    pub(crate) fn gave_up(&self) {
        self.dead_letters.add(1, std::slice::from_ref(&self.group));
    }

    pub(crate) fn depth(&self, waiting: u64) {
        self.waiting.record(waiting, std::slice::from_ref(&self.group));
    }
}
