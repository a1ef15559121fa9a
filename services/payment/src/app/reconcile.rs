//! Brings a payment in line with the provider: after the provider's webhook, or where its list differs.

use tracing::instrument;

use super::{
    App, Error,
    payment_run::PaymentRun,
    ports::{ProcessedMessages, Record, Saved, WebhookId},
};
use crate::domain::{OrderId, Payment, Status};

impl App {
    /// Compares an order's payment with the provider, once per webhook.
    ///
    /// What a webhook says is not trusted: it is only the reason to ask the provider.
    /// An order that is not known changes nothing: if it has charges, its payment was lost, and they are all that is left
    /// of it.
    ///
    /// # Errors
    /// The provider gives no answer, or another request works on the payment: to be delivered again.
    #[instrument(name = "payment.reconcile", skip_all, fields(order.id = %order))]
    pub async fn reconcile(&self, order: OrderId, webhook: WebhookId) -> Result<(), Error> {
        // Spares a repeated webhook the lock and the provider. The write decides: it records the id or is a duplicate.
        if self.payments.is_processed(&webhook).await? {
            return Ok(());
        }
        let processed = ProcessedMessages { receipt: None, webhook: Some((webhook, self.now())) };
        let mut run = PaymentRun::begin(self, order, processed).await?;
        self.reconcile_locked(&mut run, order).await
    }

    pub(super) async fn reconcile_locked(&self, run: &mut PaymentRun<'_>, order: OrderId) -> Result<(), Error> {
        match run.load().await? {
            None => {}
            Some(Record::Closed) => self.release_orphans(order, None).await?,
            Some(Record::Payment(payment)) => self.reconcile_payment(run, payment).await?,
        }
        run.record_receipt().await
    }

    async fn reconcile_payment(&self, run: &mut PaymentRun<'_>, mut payment: Payment) -> Result<(), Error> {
        let stored = payment.version;
        let mut events = Vec::new();
        // An intent is ended with what the provider has done, and otherwise left as it is: a webhook is no reason to
        // call for anything, and the call may be under way in a request that has lost its lock.
        if let Some(open) = payment.intent
            && let Some(outcome) = self.find_outcome(payment.order_id, open).await?
        {
            events = run.apply_outcome(&mut payment, &outcome).await?;
        }
        events.extend(run.follow_charges(&mut payment).await?);
        // Before the webhook is recorded: if this fails, it is delivered again.
        // With an intent open, a charge may be the outcome of our own call.
        if payment.intent.is_none() {
            // Whoever voids a payment holds nothing any more, its own charge included.
            let own = payment.reference.as_ref().filter(|_| payment.status != Status::Voided);
            self.release_orphans(payment.order_id, own).await?;
        }
        if payment.version == stored {
            return Ok(());
        }
        match run.save(&payment, Some(stored), &events, true).await? {
            Saved::Stored | Saved::Duplicate => Ok(()),
            Saved::Stale => Err(Error::Busy),
        }
    }

    /// Records a webhook of a type that asks for nothing.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn acknowledge(&self, webhook: WebhookId) -> Result<(), Error> {
        let processed = ProcessedMessages { receipt: None, webhook: Some((webhook, self.now())) };
        self.payments.record_receipt(&processed).await?;
        Ok(())
    }
}
