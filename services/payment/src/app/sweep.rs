//! The sweeper: finds out the outcome of intents that nobody waits for any more.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use futures::StreamExt as _;
use resilience::Outage;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    App, Error,
    comparison::compare_forever,
    payment_run::{INTENT_TIMEOUT, PaymentRun},
    ports::{DuePayment, Pauses, ProcessedMessages, Record},
};
use crate::domain::OrderId;

/// Pause between two sweeps.
const INTERVAL: Duration = Duration::from_secs(2);

/// Longest work on one payment; shorter than [`INTENT_TIMEOUT`], after which the payment can be claimed again.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a payment that stays open is left alone. A sweeper that dies leaves what it has claimed to the next one after as long.
const PAUSES: Pauses = Pauses { first: INTENT_TIMEOUT, longest: Duration::from_secs(50) };

/// How often a payment is claimed in about a day: for so long providers promise to remember what was done under a key.
const OVERDUE: u32 = 1_728;

/// Payments claimed at once, and of them worked on at the same time.
const BATCH: u32 = 64;
const CONCURRENCY: usize = 4;

/// Sweeps between two checks of the ledger, and the transactions that each looks at: those that were booked last.
const SWEEPS_PER_CHECK: u32 = 5;
const CHECKED: u32 = 1_000;

/// Sweeps until the token is cancelled; what is under way then is left to the next sweeper.
///
/// Beside it payments are compared with the provider's list.
pub async fn run(app: Arc<App>, token: CancellationToken) {
    token.run_until_cancelled(futures::future::join(sweep_forever(&app), compare_forever(&app))).await;
}

async fn sweep_forever(app: &App) {
    let (sweeps, checks) = (Outage::default(), Outage::default());
    for sweep in (0..SWEEPS_PER_CHECK).cycle() {
        match app.sweep().await {
            Ok(_) => {
                if let Some(failures) = sweeps.ended() {
                    tracing::info!(failures, "unresolved payments are swept again");
                }
            }
            Err(error) => {
                if let Some(failures) = sweeps.failed() {
                    tracing::warn!(error = &error as &dyn StdError, failures, "sweep of unresolved payments failed");
                }
            }
        }
        if sweep == 0 {
            app.check_ledger(&checks).await;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl App {
    /// Measures by how much the ledger is off.
    async fn check_ledger(&self, outage: &Outage) {
        match self.payments.imbalances(CHECKED).await {
            Ok(imbalances) => {
                if let Some(failures) = outage.ended() {
                    tracing::info!(failures, "the ledger is checked again");
                }
                for imbalance in &imbalances {
                    self.metrics.imbalance(imbalance);
                }
            }
            Err(error) => {
                if let Some(failures) = outage.failed() {
                    tracing::warn!(error = &error as &dyn StdError, failures, "the ledger cannot be checked");
                }
            }
        }
    }

    /// Resolves the payments that are due; returns how many there were.
    ///
    /// # Errors
    /// The store does not answer. A payment that cannot be resolved is due again later.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let due = self.payments.claim_due(self.now(), PAUSES, BATCH).await?;
        let count = due.len();
        futures::stream::iter(due).for_each_concurrent(CONCURRENCY, |due| self.resolve_due(due)).await;
        Ok(count)
    }

    /// Resolves a payment in a trace that is linked to the request that left it open, under its canary mark, and logs the
    /// result.
    async fn resolve_due(&self, due: DuePayment) {
        let order = due.order_id;
        let span = tracing::info_span!("payment.resolve", order.id = %order);
        let deadline = Instant::now() + RESOLVE_TIMEOUT;
        let work = async {
            match tokio::time::timeout_at(deadline, self.resolve(order)).await {
                Ok(Ok(())) => tracing::info!(order.id = %order, "payment resolved"),
                Ok(Err(error)) => stays_open(&due, &error),
                Err(error) => stays_open(&due, &error),
            }
        };
        telemetry::background(&due.carrier, Some(deadline), span, work.in_current_span()).await;
    }

    /// Resolves the open intent of one payment.
    ///
    /// # Errors
    /// The provider gives no answer, or another request works on the payment.
    pub async fn resolve(&self, order: OrderId) -> Result<(), Error> {
        let mut run = PaymentRun::begin(self, order, ProcessedMessages::default()).await?;
        resolve_locked(&mut run).await
    }
}

/// Says so at growing intervals, and loudly once it is more than the provider can be asked to settle.
fn stays_open(due: &DuePayment, error: &(dyn StdError + 'static)) {
    let (order, attempts) = (due.order_id, due.attempts);
    if attempts == OVERDUE {
        tracing::error!(order.id = %order, attempts, error, "the provider has not settled a payment within a day");
    } else if attempts.is_power_of_two() {
        tracing::warn!(order.id = %order, attempts, error, "payment stays unresolved");
    }
}

async fn resolve_locked(run: &mut PaymentRun<'_>) -> Result<(), Error> {
    match run.load().await? {
        // The write that ends the intent also says that the sweeper need not come back.
        Some(Record::Payment(payment)) if payment.intent.is_some() => run.resolve(payment).await,
        _ => run.clear_due().await,
    }
}
