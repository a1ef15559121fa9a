//! The lock's instruments, on the process' meter.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
};

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    acquire: Histogram<f64>,
    hold: Histogram<f64>,
    waiting: UpDownCounter<i64>,
    renew_failures: Counter<u64>,
    lost: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = opentelemetry::global::meter("lock");
        let histogram = |name, text| meter.f64_histogram(name).with_unit("s").with_description(text).build();
        Self {
            acquire: histogram("lock.acquire.duration", "Time from asking for a lock to the answer."),
            hold: histogram("lock.hold.duration", "Time a lock was held."),
            waiting: meter
                .i64_up_down_counter("lock.waiting")
                .with_description("Callers that wait for a lock.")
                .build(),
            renew_failures: meter
                .u64_counter("lock.renew.failures")
                .with_description("Renewals without an answer.")
                .build(),
            lost: meter.u64_counter("lock.lost").with_description("Locks lost while held.").build(),
        }
    }

    pub(crate) fn acquired(&self, after: Duration, outcome: &'static str) {
        self.acquire.record(after.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn held(&self, time: Duration) {
        self.hold.record(time.as_secs_f64(), &[]);
    }

    pub(crate) fn renew_failed(&self) {
        self.renew_failures.add(1, &[]);
    }

    pub(crate) fn lost(&self) {
        self.lost.add(1, &[]);
    }

    /// Counts one waiter until the returned value is dropped.
    pub(crate) fn waiter(&self) -> CountedWaiter<'_> {
        self.waiting.add(1, &[]);
        CountedWaiter(self)
    }
}

/// Counts a waiter as long as it lives.
pub(crate) struct CountedWaiter<'a>(&'a Metrics);

impl Drop for CountedWaiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.add(-1, &[]);
    }
}

/// Counts a write that was refused because its fence was overtaken.
pub(crate) fn stale_write() {
    static REJECTED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        let meter = opentelemetry::global::meter("lock");
        let counter = meter.u64_counter("lock.fence.rejected");
        counter.with_description("Writes refused because their fence was overtaken.").build()
    });
    REJECTED.add(1, &[]);
}
