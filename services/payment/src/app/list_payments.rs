//! Lists the payments of an order.

use tracing::instrument;

use super::{App, Error, ports::Record};
use crate::domain::{OrderId, Payment};

impl App {
    /// The payments of an order, newest first: one, or none.
    ///
    /// # Errors
    /// The store does not answer.
    #[instrument(name = "payment.list", skip_all, fields(order.id = %order))]
    pub async fn list_payments(&self, order: OrderId) -> Result<Vec<Payment>, Error> {
        Ok(match self.payments.by_order(order).await? {
            Some(Record::Payment(payment)) => vec![payment],
            Some(Record::Closed) | None => Vec::new(),
        })
    }
}
