//! Brings a payment in line with the provider, after the provider's webhook.

use tracing::instrument;

use super::{
    Cashier, Failure,
    ports::{Marks, Record, WebhookId, Written},
    work::Work,
};
use crate::domain::{OrderId, Payment, Status};

impl Cashier {
    /// Looks at the provider for an order's payment, once per webhook.
    ///
    /// What a webhook says is not believed: it only makes us look.
    /// An order that is not known changes nothing.
    ///
    /// # Errors
    /// The provider gives no answer, or somebody else works on the payment: to be delivered again.
    #[instrument(name = "payment.reconcile", skip_all, fields(order.id = %order))]
    pub async fn reconcile(&self, order: OrderId, webhook: WebhookId) -> Result<(), Failure> {
        if self.payments.seen(&webhook).await? {
            return Ok(());
        }
        let marks = Marks { receipt: None, webhook: Some((webhook, self.now())) };
        let guard = self.hold(order).await?;
        let mut work = Work::new(self, order, guard.fence(), marks);
        let result = self.reconcile_held(&mut work, order).await;
        let _ = guard.release().await;
        result
    }

    async fn reconcile_held(&self, work: &mut Work<'_>, order: OrderId) -> Result<(), Failure> {
        match work.record().await? {
            None => {}
            Some(Record::Closed) => self.let_go(order).await?,
            Some(Record::Payment(payment)) => self.catch_up(work, payment).await?,
        }
        work.remember().await
    }

    async fn catch_up(&self, work: &mut Work<'_>, mut payment: Payment) -> Result<(), Failure> {
        let stored = payment.version;
        let mut facts = Vec::new();
        if let Some(open) = payment.intent
            && let Some(outcome) = self.find(payment.order_id, open).await?
        {
            facts = work.apply(&mut payment, &outcome).await?;
        }
        facts.extend(work.follow(&mut payment).await?);
        if payment.status == Status::Voided {
            self.let_go(payment.order_id).await?;
        }
        if payment.version == stored {
            return Ok(());
        }
        match work.save(&payment, Some(stored), &facts, true).await? {
            Written::Done | Written::Duplicate => Ok(()),
            Written::Stale => Err(Failure::Busy(None)),
        }
    }

    /// Remembers a webhook that has nothing to say to us.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn acknowledge(&self, webhook: WebhookId) -> Result<(), Failure> {
        let marks = Marks { receipt: None, webhook: Some((webhook, self.now())) };
        self.payments.remember(&marks).await?;
        Ok(())
    }
}
