//! Calls of the provider, each within the caller's deadline.

use std::time::Duration;

use super::{
    App, Error,
    ports::{IdempotencyKey, Instruction, ProviderError},
};
use crate::domain::{Charge, ChargeReference, ChargeState, Operation, OrderId, Outcome};

/// Longest wait for an answer of the provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(3);

/// What a call leaves of the caller's deadline: enough to ask for a lost answer, or to store one.
const DEADLINE_RESERVE: Duration = Duration::from_millis(100);

impl App {
    /// Asks the provider for the outcome of an operation.
    pub(super) async fn find_outcome(&self, order_id: OrderId, operation: Operation) -> Result<Option<Outcome>, Error> {
        let answer = self.provider.find_outcome(IdempotencyKey { order_id, operation });
        Ok(self.metrics.provider("find_outcome", with_timeout(answer, Duration::ZERO)).await?)
    }

    /// Has the provider carry out an instruction; there is no second attempt in here.
    pub(super) async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError> {
        let answer = with_timeout(self.provider.execute(instruction), DEADLINE_RESERVE);
        self.metrics.provider(instruction.key.operation.name(), answer).await
    }

    /// Has the provider refuse an operation that it may not have done yet; the outcome, where it has.
    pub(super) async fn revoke(&self, order_id: OrderId, operation: Operation) -> Result<Outcome, ProviderError> {
        let answer = self.provider.revoke(IdempotencyKey { order_id, operation });
        self.metrics.provider("revoke", with_timeout(answer, DEADLINE_RESERVE)).await
    }

    /// Every charge that the provider has for an order.
    pub(super) async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, Error> {
        Ok(self.metrics.provider("charges", with_timeout(self.provider.charges(order), Duration::ZERO)).await?)
    }

    /// The provider's charges of whatever order.
    pub(super) async fn list_charges(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, Error> {
        let answer = with_timeout(self.provider.list(after, limit), Duration::ZERO);
        Ok(self.metrics.provider("list", answer).await?)
    }

    /// Voids what the provider holds for an order beside the charge of its payment, where that has one: the ledger never
    /// knew of it and has nothing to reverse.
    ///
    /// Not under the order's key for a void: what was done under it was done to the payment's charge, or will be.
    /// Money that was taken stays where it is: whose it is has to be found out first.
    pub(super) async fn release_orphans(&self, order: OrderId, own: Option<&ChargeReference>) -> Result<(), Error> {
        for charge in self.charges(order).await? {
            if charge.state != ChargeState::Authorized || own == Some(&charge.reference) {
                continue;
            }
            let answer = with_timeout(self.provider.release(order, &charge.reference), DEADLINE_RESERVE);
            self.metrics.provider("release", answer).await?;
            tracing::warn!(order.id = %order, charge = charge.reference.as_str(), "orphaned charge voided");
        }
        Ok(())
    }
}

/// Waits for the provider, no longer than [`PROVIDER_TIMEOUT`] and the caller's deadline less `reserve`.
pub(super) async fn with_timeout<T>(
    answer: impl Future<Output = Result<T, ProviderError>>,
    reserve: Duration,
) -> Result<T, ProviderError> {
    let left = telemetry::remaining(PROVIDER_TIMEOUT);
    // With little time left the reserve would leave the call none: then the call gets it all, and its answer, should
    // it be lost, is found by the next request or the sweeper.
    let limit = if left > reserve * 2 { left.saturating_sub(reserve) } else { left };
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        // The call may have arrived: a timeout says nothing about what was done.
        Err(elapsed) => Err(ProviderError::OutcomeUnknown(Some(elapsed.into()))),
    }
}
