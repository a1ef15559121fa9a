//! Lets go of the money that is held for an order, and of any that might be later.

use messaging::Receipt;
use tracing::instrument;

use super::{
    Cashier, Failure,
    ports::{Marks, Record},
    work::Work,
};
use crate::domain::{Operation, OrderId, Payment};

impl Cashier {
    /// Voids the payment of an order; one that was declined stays so.
    ///
    /// An order without a payment is closed: it never gets one, and `None` is returned.
    /// `receipt` is stored with the effect when an event asked for it.
    ///
    /// # Errors
    /// The payment was captured; the provider's answer is not known yet.
    #[instrument(name = "payment.void", skip_all, fields(order.id = %order))]
    pub async fn void(&self, order: OrderId, receipt: Option<Receipt>) -> Result<Option<Payment>, Failure> {
        let guard = self.hold(order).await?;
        let mut work = Work::new(self, order, guard.fence(), Marks { receipt, ..Marks::default() });
        let result = void_held(&mut work).await;
        let _ = guard.release().await;
        result
    }
}

async fn void_held(work: &mut Work<'_>) -> Result<Option<Payment>, Failure> {
    let mut record = work.record().await?;
    if record.is_none() {
        if work.close().await? {
            return Ok(None);
        }
        record = work.record().await?;
    }
    match record {
        Some(Record::Payment(payment)) => work.carry_out(Operation::Void, payment).await.map(Some),
        Some(Record::Closed) => {
            work.remember().await?;
            Ok(None)
        }
        None => Err(Failure::Busy(None)),
    }
}
