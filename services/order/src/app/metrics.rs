//! What is measured of orders.

use clock::SharedClock;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use semconv::{attributes, metrics};

use super::ports::Sagas;
use crate::domain::{order::Order, status::Status};

/// The instruments.
#[derive(Debug)]
pub struct Metrics {
    changes: Counter<u64>,
    decision: Histogram<f64>,
    stock_refusals: Counter<u64>,
    sagas: Gauge<u64>,
    oldest: Gauge<f64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            changes: metrics::ORDER_STATUS_CHANGES.instrument(),
            decision: metrics::ORDER_DECISION_DURATION.instrument(),
            stock_refusals: metrics::ORDER_STOCK_REFUSALS.instrument(),
            sagas: metrics::ORDER_SAGAS_OPEN.instrument(),
            oldest: metrics::ORDER_SAGAS_OLDEST_AGE.instrument(),
        }
    }
}

impl Metrics {
    /// An order that was stored has come to its status.
    pub(super) fn changed(&self, order: &Order) {
        let status = attributes::ORDER_STATUS.of(order.status.name());
        match order.reason {
            Some(reason) => self.changes.add(1, &[status, attributes::ORDER_REASON.of(reason.name())]),
            None => self.changes.add(1, &[status]),
        }
        if is_decided_now(order) {
            self.decision.record((order.updated_at - order.created_at).as_seconds_f64(), &[]);
        }
    }

    /// An order was refused, because too little is in stock.
    pub(super) fn stock_refused(&self) {
        self.stock_refusals.add(1, &[]);
    }

    /// So many sagas are under way; of a status that is not named none.
    pub(super) fn sagas(&self, sagas: &Sagas, clock: &SharedClock) {
        for status in Status::ALL.into_iter().filter(|status| status.is_in_progress()) {
            let of_status = sagas.by_status.iter().find(|(named, _)| *named == status);
            let count = of_status.map_or(0, |(_, count)| *count);
            self.sagas.record(count, &[attributes::ORDER_STATUS.of(status.name())]);
        }
        let age = sagas.oldest.map(|oldest| (clock.now() - oldest).as_seconds_f64());
        self.oldest.record(age.unwrap_or_default().max(0.0), &[]);
    }
}

/// Whether the status that an order has come to is what its customer waited for: each order that is placed has one such
/// moment. What is cancelled later had payment's answer before.
fn is_decided_now(order: &Order) -> bool {
    match order.status {
        Status::Confirmed | Status::Rejected => true,
        Status::Cancelling => order.payment.is_none(),
        _ => false,
    }
}
