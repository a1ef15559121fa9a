//! Gives back the money that was taken for an order.

use tracing::instrument;

use super::{Cashier, Failure, ports::Marks, work::Work};
use crate::domain::{Operation, OrderId, Payment};

impl Cashier {
    /// Gives back the money that was taken for an order. Given again, returns the payment as it is now.
    ///
    /// # Errors
    /// The order has no payment, or one that was not captured;
    /// the provider's answer is not known yet.
    #[instrument(name = "payment.refund", skip_all, fields(order.id = %order))]
    pub async fn refund(&self, order: OrderId) -> Result<Payment, Failure> {
        let guard = self.hold(order).await?;
        let mut work = Work::new(self, order, guard.fence(), Marks::default());
        let result = match self.payment_of(order).await {
            Ok(payment) => work.carry_out(Operation::Refund, payment).await,
            Err(failure) => Err(failure),
        };
        let _ = guard.release().await;
        result
    }
}
