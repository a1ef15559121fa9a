//! The cashier carries out every use case: one payment at a time, under its lock.

use std::{sync::Arc, time::Duration};

use clock::SharedClock;
use lock::Locks;
use time::OffsetDateTime;

use super::{
    Failure,
    ports::{Charge, Instruction, Key, Payments, Provider, ProviderError, Record, Target},
};
use crate::domain::{ChargeState, Operation, OrderId, Outcome, Payment, PaymentId};

/// Longest wait for the lock of a payment.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Longest wait for an answer of the provider.
const PROVIDER_WAIT: Duration = Duration::from_secs(3);

/// What is left of a caller's deadline to store an answer, or to ask for a lost one.
const RESERVE: Duration = Duration::from_millis(100);

/// Carries out the use cases; each is a method, in the file of its name.
///
/// Every method may be dropped at any await: what was begun is an intent in the store,
/// and whoever works on the payment next finds out what became of it.
#[derive(Clone)]
pub struct Cashier {
    pub(super) payments: Arc<dyn Payments>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) outbox: Arc<dyn messaging::Outbox>,
    locks: Locks,
    clock: SharedClock,
}

impl Cashier {
    /// Puts a cashier together.
    pub fn new(
        payments: Arc<dyn Payments>,
        provider: Arc<dyn Provider>,
        outbox: Arc<dyn messaging::Outbox>,
        locks: Locks,
        clock: SharedClock,
    ) -> Self {
        Self { payments, provider, outbox, locks, clock }
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(super) fn new_payment_id() -> PaymentId {
        uuid::Uuid::now_v7().into()
    }

    /// Waits for the lock of an order's payment, no longer than the caller does.
    pub(super) async fn hold(&self, order: OrderId) -> Result<lock::Guard, Failure> {
        self.locks
            .lock(&format!("payment:{order}"), telemetry::remaining(LOCK_WAIT))
            .await
            .map_err(|error| Failure::Busy(Some(error)))
    }

    /// The payment of an order that must have one.
    pub(super) async fn payment_of(&self, order: OrderId) -> Result<Payment, Failure> {
        match self.payments.by_order(order).await? {
            Some(Record::Payment(payment)) => Ok(payment),
            Some(Record::Closed) => Err(crate::domain::Refusal::Closed.into()),
            None => Err(Failure::NotFound),
        }
    }

    /// Asks the provider what became of an operation.
    pub(super) async fn find(&self, order_id: OrderId, operation: Operation) -> Result<Option<Outcome>, Failure> {
        let answer = self.provider.find(Key { order_id, operation });
        Ok(limited(answer, Duration::ZERO).await?)
    }

    /// Lets the provider carry out one instruction, once.
    pub(super) async fn execute(&self, order: &Instruction) -> Result<Outcome, ProviderError> {
        limited(self.provider.execute(order), RESERVE).await
    }

    /// Every charge that the provider has for an order.
    pub(super) async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, Failure> {
        Ok(limited(self.provider.charges(order), Duration::ZERO).await?)
    }

    /// Voids what the provider still holds for an order whose payment is voided.
    pub(super) async fn let_go(&self, order_id: OrderId) -> Result<(), Failure> {
        for charge in self.charges(order_id).await? {
            if charge.state != ChargeState::Authorized {
                continue;
            }
            let instruction = Instruction {
                key: Key { order_id, operation: Operation::Void },
                amount: charge.amount,
                target: Target::Charge(charge.reference),
            };
            self.execute(&instruction).await?;
            tracing::warn!(order.id = %order_id, "voided a charge that a voided payment left behind");
        }
        Ok(())
    }
}

/// Waits for the provider, no longer than it may take nor than the caller waits less `reserve`.
pub(super) async fn limited<T>(
    answer: impl Future<Output = Result<T, ProviderError>>,
    reserve: Duration,
) -> Result<T, ProviderError> {
    let left = telemetry::remaining(PROVIDER_WAIT);
    let limit = if left > reserve * 2 { left.saturating_sub(reserve) } else { left };
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(ProviderError::Unknown(Some(elapsed.into()))),
    }
}

impl std::fmt::Debug for Cashier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cashier").finish_non_exhaustive()
    }
}
