//! Authorizes the payment of an order: holds the money.

use money::Money;
use tracing::instrument;
use uuid::Uuid;

use super::{
    App, Error,
    payment_run::PaymentRun,
    ports::{ProcessedMessages, Record},
};
use crate::domain::{Operation, OrderId, Payment, PaymentToken, Refusal, UserId};

/// An authorization to be made.
#[derive(Debug, Clone)]
pub struct AuthorizePayment {
    /// The order to be paid.
    pub order_id: OrderId,
    /// Who pays.
    pub user_id: UserId,
    /// How much; more than zero.
    pub amount: Money,
    /// What it is paid with.
    pub token: PaymentToken,
}

impl App {
    /// Holds the money for an order; repeated, returns the payment as it is now.
    ///
    /// # Errors
    /// The order was voided before, has a payment of another amount or user, or an unknown token;
    /// the provider's answer is not known yet.
    #[instrument(name = "payment.authorize", skip_all, fields(order.id = %command.order_id))]
    pub async fn authorize(&self, command: AuthorizePayment) -> Result<Payment, Error> {
        let mut run = PaymentRun::begin(self, command.order_id, ProcessedMessages::default()).await?;
        self.authorize_locked(&mut run, &command).await
    }

    async fn authorize_locked(&self, run: &mut PaymentRun<'_>, command: &AuthorizePayment) -> Result<Payment, Error> {
        let mut record = run.load().await?;
        if record.is_none() {
            // Asked before anything is stored: an unknown token changes nothing, and the order may come with another.
            if !self.check_token(&command.token).await? {
                return Err(Error::UnknownToken);
            }
            let ids = (Uuid::now_v7().into(), command.order_id, command.user_id);
            let payment = Payment::open(ids, command.amount, command.token.clone(), self.now());
            if let Some(payment) = run.open(payment).await? {
                return Ok(payment);
            }
            // The lock was lost, or is not shared: another request has stored something first.
            record = run.load().await?;
        }
        match record {
            Some(Record::Payment(payment)) => {
                check_same(command, &payment)?;
                run.carry_out(Operation::Authorize, payment).await
            }
            Some(Record::Closed) => Err(Refusal::Closed.into()),
            None => Err(Error::Busy),
        }
    }
}

/// Refuses a repetition that asks for something else than the stored payment.
///
/// The token is not compared: it is removed once the provider has answered.
fn check_same(command: &AuthorizePayment, payment: &Payment) -> Result<(), Error> {
    if command.user_id != payment.user_id {
        return Err(Error::Differs("user_id"));
    }
    if command.amount != payment.amount {
        return Err(Error::Differs("amount"));
    }
    Ok(())
}
