//! Finds out what became of intents that nobody waits for any more.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    Cashier, Failure,
    ports::{Due, Marks, Record},
    work::{LEFT_BEHIND, Work},
};
use crate::domain::{OrderId, Status};

/// Pause between two sweeps.
const EVERY: Duration = Duration::from_secs(2);

/// Longest work on one payment.
const LIMIT: Duration = Duration::from_secs(8);

/// Payments taken at once, and of them worked on at the same time.
const BATCH: u32 = 64;
const AT_ONCE: usize = 4;

/// Webhooks are remembered this long: at least 24 h are promised.
const WEBHOOKS_KEPT: time::Duration = time::Duration::hours(48);

/// Sweeps between two clearings of old webhooks.
const CLEARING: u32 = 1_800;

impl Cashier {
    /// Sweeps until the token is cancelled; what is under way then is left to the next sweeper.
    pub async fn sweep_until(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.sweep_for_ever()).await;
    }

    async fn sweep_for_ever(&self) {
        for round in (0..CLEARING).cycle() {
            if let Err(failure) = self.sweep().await {
                tracing::warn!(error = %failure, "the sweep for unresolved payments failed");
            }
            if round == 0
                && let Err(error) = self.payments.forget_webhooks(self.now() - WEBHOOKS_KEPT).await
            {
                tracing::warn!(%error, "old webhooks could not be cleared");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Resolves what was left behind; returns how many payments were looked at.
    ///
    /// # Errors
    /// The store does not answer. A payment that cannot be resolved is looked at again later.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let now = self.now();
        let due = self.payments.take_due(now, now + LEFT_BEHIND, BATCH).await?;
        let count = due.len();
        futures::stream::iter(due).for_each_concurrent(AT_ONCE, |due| self.resolve_logged(due)).await;
        Ok(count)
    }

    async fn resolve_logged(&self, due: Due) {
        let order = due.order_id;
        let span = tracing::info_span!("payment.resolve", order.id = %order);
        let deadline = Instant::now() + LIMIT;
        let work = async {
            match tokio::time::timeout_at(deadline, self.resolve(order)).await {
                Ok(Ok(())) => tracing::info!(order.id = %order, "resolved a payment left behind"),
                Ok(Err(failure)) => {
                    tracing::warn!(order.id = %order, error = %failure, "a payment stays unresolved");
                }
                Err(_) => tracing::warn!(order.id = %order, "a payment stays unresolved"),
            }
        };
        telemetry::scope(&due.carrier, Some(deadline), span, work.in_current_span()).await;
    }

    /// Resolves one payment: its open intent, or what the provider may hold though it is voided.
    ///
    /// # Errors
    /// The provider gives no answer, or somebody else works on the payment.
    pub async fn resolve(&self, order: OrderId) -> Result<(), Failure> {
        let guard = self.hold(order).await?;
        let mut work = Work::new(self, order, guard.fence(), Marks::default());
        let result = self.resolve_held(&mut work, order, guard.fence()).await;
        let _ = guard.release().await;
        result
    }

    async fn resolve_held(&self, work: &mut Work<'_>, order: OrderId, fence: i64) -> Result<(), Failure> {
        match work.record().await? {
            Some(Record::Payment(payment)) if payment.intent.is_some() => {
                return work.resolve(payment).await;
            }
            Some(Record::Payment(payment)) if payment.status == Status::Voided => {
                // An authorization under way when it was voided may have come through.
                self.let_go(order).await?;
            }
            _ => {}
        }
        self.payments.rest(order, fence).await?;
        Ok(())
    }
}
