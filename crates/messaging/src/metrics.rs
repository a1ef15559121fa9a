//! What is measured.

use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use semconv::{attributes, metrics};
use time::OffsetDateTime;

use crate::{Delivery, Depth, Error, Event, unreadable};

/// Calls of a broker, on behalf of a consumer group or of nobody.
pub(crate) struct Calls {
    whose: Vec<KeyValue>,
    duration: Histogram<f64>,
}

impl Calls {
    fn new(whose: &[KeyValue]) -> Self {
        Self { whose: whose.to_vec(), duration: metrics::MESSAGING_CLIENT_OPERATION_DURATION.instrument() }
    }

    /// Measures a call.
    pub(crate) async fn measured<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let result = call.await;
        self.record(operation, start.elapsed(), result.as_ref().err());
        result
    }

    fn record(&self, operation: &'static str, took: Duration, error: Option<&Error>) {
        let mut attributes = self.whose.clone();
        attributes.push(attributes::MESSAGING_OPERATION_NAME.of(operation));
        attributes.extend(error.map(|error| attributes::ERROR_TYPE.of(error.name())));
        self.duration.record(took.as_secs_f64(), &attributes);
    }
}

/// What a relay measures.
pub(crate) struct RelayMetrics {
    pub(crate) calls: Calls,
    system: KeyValue,
    sent: Counter<u64>,
    waiting: Gauge<u64>,
    oldest: Gauge<f64>,
    dead: Gauge<u64>,
}

impl RelayMetrics {
    pub(crate) fn new(system: &'static str) -> Self {
        let system = attributes::MESSAGING_SYSTEM.of(system);
        Self {
            calls: Calls::new(std::slice::from_ref(&system)),
            system,
            sent: metrics::MESSAGING_CLIENT_SENT_MESSAGES.instrument(),
            waiting: metrics::MESSAGING_OUTBOX_WAITING.instrument(),
            oldest: metrics::MESSAGING_OUTBOX_OLDEST_AGE.instrument(),
            dead: metrics::MESSAGING_OUTBOX_DEAD.instrument(),
        }
    }

    pub(crate) fn sent(&self, events: &[Event]) {
        for event in events {
            let attributes = [
                self.system.clone(),
                attributes::MESSAGING_OPERATION_NAME.of("send"),
                attributes::MESSAGING_DESTINATION_NAME.of(event.kind.clone()),
            ];
            self.sent.add(1, &attributes);
        }
    }

    pub(crate) fn depth(&self, depth: &Depth) {
        let system = std::slice::from_ref(&self.system);
        self.waiting.record(depth.count, system);
        self.oldest.record(depth.oldest.unwrap_or_default().as_secs_f64(), system);
        self.dead.record(depth.dead, system);
    }
}

/// What a consumer measures.
pub(crate) struct ConsumerMetrics {
    pub(crate) calls: Calls,
    system: &'static str,
    /// The broker and the group.
    whose: [KeyValue; 2],
    kinds: &'static [&'static str],
    duration: Histogram<f64>,
    consumed: Counter<u64>,
    delay: Histogram<f64>,
    dead_letters: Counter<u64>,
    waiting: Gauge<u64>,
    dead: Gauge<u64>,
}

impl ConsumerMetrics {
    pub(crate) fn new(system: &'static str, group: &'static str, kinds: &'static [&'static str]) -> Self {
        let group = attributes::MESSAGING_CONSUMER_GROUP_NAME.of(group);
        let whose = [attributes::MESSAGING_SYSTEM.of(system), group];
        let dead_letters = metrics::MESSAGING_CONSUMER_DEAD_LETTERS.instrument();
        // Known from the beginning: the first one is a rise, which an alert sees.
        dead_letters.add(0, &whose);
        unreadable::none_yet(system);
        Self {
            calls: Calls::new(&whose),
            system,
            whose,
            kinds,
            duration: metrics::MESSAGING_PROCESS_DURATION.instrument(),
            consumed: metrics::MESSAGING_CLIENT_CONSUMED_MESSAGES.instrument(),
            delay: metrics::MESSAGING_PROCESS_DELAY.instrument(),
            dead_letters,
            waiting: metrics::MESSAGING_CONSUMER_WAITING.instrument(),
            dead: metrics::MESSAGING_CONSUMER_DEAD.instrument(),
        }
    }

    /// The broker, as spans name it.
    pub(crate) fn system(&self) -> &'static str {
        self.system
    }

    /// Measures a try to join the group that failed: as long as none succeeds, nothing is received.
    pub(crate) async fn joined<T>(&self, join: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let start = Instant::now();
        join.await.inspect_err(|error| self.calls.record("receive", start.elapsed(), Some(error)))
    }

    /// Measures a fetch that brought something or failed: one that brought nothing only says how long nothing came.
    pub(crate) async fn received(
        &self,
        fetch: impl Future<Output = Result<Vec<Delivery>, Error>>,
    ) -> Result<Vec<Delivery>, Error> {
        let start = Instant::now();
        let fetched = fetch.await;
        if !fetched.as_ref().is_ok_and(Vec::is_empty) {
            self.calls.record("receive", start.elapsed(), fetched.as_ref().err());
        }
        fetched
    }

    pub(crate) fn processed(&self, kind: &str, outcome: &'static str, took: Duration) {
        // What the group does not handle may be called anything.
        let kind = self.kinds.iter().copied().find(|known| *known == kind).unwrap_or("_OTHER");
        let [system, group] = self.whose.clone();
        let kind = attributes::MESSAGING_DESTINATION_NAME.of(kind);
        let attributes = [system, group, kind, attributes::OUTCOME.of(outcome)];
        self.duration.record(took.as_secs_f64(), &attributes[..3]);
        self.consumed.add(1, &attributes);
    }

    /// An event was applied that happened at `time`, by the clock of the service that it is of.
    pub(crate) fn applied(&self, time: OffsetDateTime) {
        let delay = (clock::system().now() - time).as_seconds_f64().max(0.0);
        self.delay.record(delay, &self.whose);
    }

    pub(crate) fn gave_up(&self) {
        self.dead_letters.add(1, &self.whose);
    }

    pub(crate) fn depth(&self, waiting: u64) {
        self.waiting.record(waiting, &self.whose);
    }

    pub(crate) fn dead(&self, dead: u64) {
        self.dead.record(dead, &self.whose);
    }
}
