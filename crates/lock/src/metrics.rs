//! The lock's instruments, on the process' meter.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use semconv::{attributes, metrics};

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
        let (waiting, lost) = (metrics::LOCK_WAITING.instrument(), metrics::LOCK_LOST.instrument());
        // Known from the beginning: the first one is a rise, which an alert sees.
        waiting.add(0, &[]);
        lost.add(0, &[]);
        Self {
            acquire: metrics::LOCK_ACQUIRE_DURATION.instrument(),
            hold: metrics::LOCK_HOLD_DURATION.instrument(),
            waiting,
            renew_failures: metrics::LOCK_RENEW_FAILURES.instrument(),
            lost,
        }
    }

    pub(crate) fn acquired(&self, after: Duration, outcome: &'static str) {
        self.acquire.record(after.as_secs_f64(), &[attributes::OUTCOME.of(outcome)]);
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
    static REJECTED: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::LOCK_FENCE_REJECTED.instrument());
    REJECTED.add(1, &[]);
}
