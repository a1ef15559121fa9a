//! Releases the money that is held for an order, and sees to it that none is held later.

use messaging::Receipt;
use tracing::instrument;

use super::{
    App, Error,
    payment_run::PaymentRun,
    ports::{ProcessedMessages, Record},
};
use crate::domain::{Operation, OrderId, Payment};

impl App {
    /// Voids the payment of an order; one that was declined stays so.
    ///
    /// An order without a payment is closed: it never gets one, and `None` is returned.
    /// `receipt` is stored with the effect when an event asked for it.
    ///
    /// # Errors
    /// The payment was captured; the provider's answer is not known yet.
    #[instrument(name = "payment.void", skip_all, fields(order.id = %order))]
    pub async fn void(&self, order: OrderId, receipt: Option<Receipt>) -> Result<Option<Payment>, Error> {
        let processed = ProcessedMessages { receipt, webhook: None };
        let mut run = PaymentRun::begin(self, order, processed).await?;
        void_locked(&mut run).await
    }
}

async fn void_locked(run: &mut PaymentRun<'_>) -> Result<Option<Payment>, Error> {
    let mut record = run.load().await?;
    if record.is_none() {
        // An authorization may be on its way to us. Without a row that says so, it would hold money after the void.
        if run.close().await? {
            return Ok(None);
        }
        record = run.load().await?;
    }
    match record {
        Some(Record::Payment(payment)) => run.carry_out(Operation::Void, payment).await.map(Some),
        Some(Record::Closed) => {
            run.record_receipt().await?;
            Ok(None)
        }
        None => Err(Error::Busy),
    }
}
