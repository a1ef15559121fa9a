//! Sending the goods: decided against a cancel by who stores first, then paid for.

use tracing::instrument;

use super::{App, Error, orders::Caller, ports::Saved};
use crate::domain::{
    ids::OrderId,
    order::{Order, Refused, Request},
    status::Status,
};

/// How often an order may change under our hands.
const ROUNDS: usize = 32;

impl App {
    /// Fulfils an order. When payment does not answer, the sweeper goes on and
    /// the caller is asked to come again.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn fulfil_order(&self, caller: Caller, id: OrderId) -> Result<Order, Error> {
        let order = self.order(caller, id).await?;
        let order = self.send_off(order).await?;
        let order = self.drive_within(order, self.patience_of_request()).await?.order;
        match order.status {
            // A cancel that came after is a refund: the goods have left all the same.
            Status::Fulfilled | Status::Refunding | Status::Refunded => Ok(order),
            Status::Fulfilling => Err(Error::PaymentPending),
            from => Err(Error::Refused(Refused { from, verb: "fulfilled" })),
        }
    }

    async fn send_off(&self, mut order: Order) -> Result<Order, Error> {
        for _ in 0..ROUNDS {
            let expected = order.version;
            let Request::Accepted(moved) = order.fulfil(self.clock.now())? else {
                return Ok(order);
            };
            if self.store(&order, expected, moved, None).await? == Saved::Stored {
                return Ok(order);
            }
            order = self.reload(order.id).await?;
        }
        Err(Error::Contended)
    }
}
