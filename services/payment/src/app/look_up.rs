//! Reads payments as they are stored.

use tracing::instrument;

use super::{Cashier, Failure, ports::Record};
use crate::domain::{OrderId, Payment, PaymentId};

impl Cashier {
    /// A payment by its own id.
    ///
    /// # Errors
    /// There is none, or the store does not answer.
    #[instrument(name = "payment.get", skip_all, fields(payment.id = %id))]
    pub async fn get(&self, id: PaymentId) -> Result<Payment, Failure> {
        self.payments.by_id(id).await?.ok_or(Failure::NotFound)
    }

    /// The payments of an order, newest first: one, or none.
    ///
    /// # Errors
    /// The store does not answer.
    #[instrument(name = "payment.list", skip_all, fields(order.id = %order))]
    pub async fn list(&self, order: OrderId) -> Result<Vec<Payment>, Failure> {
        Ok(match self.payments.by_order(order).await? {
            Some(Record::Payment(payment)) => vec![payment],
            Some(Record::Closed) | None => Vec::new(),
        })
    }
}
