//! Authorizes the payment of an order: holds the money.

use std::time::Duration;

use money::Money;
use tracing::instrument;

use super::{
    Cashier, Failure,
    cashier::limited,
    ports::{Marks, Record},
    work::Work,
};
use crate::domain::{Operation, OrderId, Payment, PaymentToken, Refusal, UserId};

/// What an order wants to be paid.
#[derive(Debug, Clone)]
pub struct Order {
    /// The order.
    pub order_id: OrderId,
    /// Who pays.
    pub user_id: UserId,
    /// How much; more than zero.
    pub amount: Money,
    /// What it is paid with.
    pub token: PaymentToken,
}

impl Cashier {
    /// Holds the money for an order; given again, returns the payment as it is now.
    ///
    /// # Errors
    /// The order was voided before, has a payment of another amount or user, or an unknown token;
    /// the provider's answer is not known yet.
    #[instrument(name = "payment.authorize", skip_all, fields(order.id = %order.order_id))]
    pub async fn authorize(&self, order: Order) -> Result<Payment, Failure> {
        let guard = self.hold(order.order_id).await?;
        let mut work = Work::new(self, order.order_id, guard.fence(), Marks::default());
        let result = self.authorize_held(&mut work, &order).await;
        let _ = guard.release().await;
        result
    }

    async fn authorize_held(&self, work: &mut Work<'_>, order: &Order) -> Result<Payment, Failure> {
        let mut record = work.record().await?;
        if record.is_none() {
            if !self.knows(&order.token).await? {
                return Err(Failure::UnknownToken);
            }
            let ids = (Self::new_payment_id(), order.order_id, order.user_id);
            let payment = Payment::open(ids, order.amount, order.token.clone(), self.now());
            if let Some(payment) = work.open(payment).await? {
                return Ok(payment);
            }
            record = work.record().await?;
        }
        match record {
            Some(Record::Payment(payment)) => {
                same(order, &payment)?;
                work.carry_out(Operation::Authorize, payment).await
            }
            Some(Record::Closed) => Err(Refusal::Closed.into()),
            None => Err(Failure::Busy(None)),
        }
    }

    /// Whether the provider knows a payment token.
    ///
    /// # Errors
    /// The provider gives no answer.
    #[instrument(name = "payment.check_token", skip_all)]
    pub async fn knows(&self, token: &PaymentToken) -> Result<bool, Failure> {
        Ok(limited(self.provider.knows(token), Duration::ZERO).await?)
    }
}

fn same(order: &Order, payment: &Payment) -> Result<(), Failure> {
    if order.user_id != payment.user_id {
        return Err(Failure::Differs("user_id"));
    }
    if order.amount != payment.amount {
        return Err(Failure::Differs("amount"));
    }
    Ok(())
}
