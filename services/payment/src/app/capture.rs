//! Takes the money that is held for an order.

use tracing::instrument;

use super::{App, Error, payment_run::PaymentRun, ports::ProcessedMessages};
use crate::domain::{Operation, OrderId, Payment};

impl App {
    /// Takes the money that is held for an order. Repeated, returns the payment as it is now.
    ///
    /// # Errors
    /// The order has no payment, or one that holds no money;
    /// the provider's answer is not known yet.
    #[instrument(name = "payment.capture", skip_all, fields(order.id = %order))]
    pub async fn capture(&self, order: OrderId) -> Result<Payment, Error> {
        let mut run = PaymentRun::begin(self, order, ProcessedMessages::default()).await?;
        match run.load_payment().await {
            Ok(payment) => run.carry_out(Operation::Capture, payment).await,
            Err(error) => Err(error),
        }
    }
}
