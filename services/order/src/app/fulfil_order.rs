//! Fulfilling an order: the decision is stored, in competition with a cancel, then the payment is captured.

use tracing::instrument;

use super::{App, Error, orders::Caller, ports::Saved};
use crate::domain::{
    ids::OrderId,
    order::{CommandOutcome, InvalidTransition, Order},
    status::Status,
};

/// How often it is tried again when others change the order.
const MAX_ROUNDS: usize = 32;

impl App {
    /// Fulfils an order. When payment does not answer, the sweeper goes on and
    /// the caller is asked to retry.
    ///
    /// # Errors
    /// The caller is no operator, there is no such order, its status does not allow it, or payment or the store does not answer.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn fulfil_order(&self, caller: Caller, id: OrderId) -> Result<Order, Error> {
        caller.must_operate()?;
        let order = self.order(caller, id).await?;
        let order = self.store_decision(order).await?;
        let order = self.advance_within(order, self.request_budget()).await?.order;
        match order.status {
            // A cancel that came after is a refund: the goods have left all the same.
            Status::Fulfilled | Status::Refunding | Status::Refunded => Ok(order),
            Status::Fulfilling => Err(Error::PaymentPending),
            from => Err(Error::InvalidTransition(InvalidTransition { from, verb: "fulfilled" })),
        }
    }

    async fn store_decision(&self, mut order: Order) -> Result<Order, Error> {
        for _ in 0..MAX_ROUNDS {
            let expected = order.version;
            let CommandOutcome::Accepted(transition) = order.fulfil(self.clock.now())? else {
                return Ok(order);
            };
            if self.store(&order, expected, transition, None).await? == Saved::Stored {
                return Ok(order);
            }
            // A cancel may have been stored first: whether the order can be fulfilled is decided by the newer state.
            order = self.reload(order.id).await?;
        }
        Err(Error::Contended)
    }
}
