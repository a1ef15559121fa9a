//! Gives back the money that was taken for an order.

use tracing::instrument;

use super::{App, Error, payment_run::PaymentRun, ports::ProcessedMessages};
use crate::domain::{Operation, OrderId, Payment};

impl App {
    /// Gives back the money that was taken for an order. Repeated, returns the payment as it is now.
    ///
    /// # Errors
    /// The order has no payment, or one that was not captured;
    /// the provider's answer is not known yet.
    #[instrument(name = "payment.refund", skip_all, fields(order.id = %order))]
    pub async fn refund(&self, order: OrderId) -> Result<Payment, Error> {
        let mut run = PaymentRun::begin(self, order, ProcessedMessages::default()).await?;
        match run.load_payment().await {
            Ok(payment) => run.carry_out(Operation::Refund, payment).await,
            Err(error) => Err(error),
        }
    }
}
