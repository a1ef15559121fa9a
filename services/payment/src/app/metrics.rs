//! What is measured of payments.

use money::Money;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use semconv::{attributes, metrics};
use tokio::time::Instant;

use super::ports::ProviderError;
use crate::domain::{Payment, Status};

/// The instruments.
#[derive(Debug)]
pub struct Metrics {
    outcomes: Counter<u64>,
    provider: Histogram<f64>,
    imbalance: Gauge<u64>,
    discrepancies: Gauge<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            outcomes: metrics::PAYMENT_OUTCOMES.instrument(),
            provider: metrics::PAYMENT_PROVIDER_DURATION.instrument(),
            imbalance: metrics::PAYMENT_LEDGER_IMBALANCE.instrument(),
            discrepancies: metrics::PAYMENT_PROVIDER_DISCREPANCIES.instrument(),
        }
    }
}

impl Metrics {
    /// A payment that was stored has come to its status.
    pub(super) fn changed(&self, payment: &Payment) {
        let status = attributes::PAYMENT_STATUS.of(payment.status.name());
        match payment.status {
            Status::Declined(reason) => self.outcomes.add(1, &[status, attributes::PAYMENT_REASON.of(reason.name())]),
            _ => self.outcomes.add(1, &[status]),
        }
    }

    /// Waits for the provider, and measures for how long.
    pub(super) async fn provider<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let started = Instant::now();
        let answer = answer.await;
        let operation = attributes::PAYMENT_OPERATION.of(operation);
        let error = answer.as_ref().err().map(|error| match error {
            ProviderError::Unavailable(_) => attributes::ERROR_TYPE.of("unavailable"),
            ProviderError::OutcomeUnknown(_) => attributes::ERROR_TYPE.of("outcome_unknown"),
        });
        let attributes: Vec<_> = [operation].into_iter().chain(error).collect();
        self.provider.record(started.elapsed().as_secs_f64(), &attributes);
        answer
    }

    /// So many orders whose payment, ledger and charges do not agree.
    pub(super) fn discrepancies(&self, orders: usize) {
        self.discrepancies.record(orders as u64, &[]);
    }

    /// The ledger is off by so much; 0 where it balances.
    pub(super) fn imbalance(&self, imbalance: &Money) {
        let currency = attributes::CURRENCY.of(imbalance.currency.code());
        self.imbalance.record(imbalance.amount.unsigned_abs(), &[currency]);
    }
}
