//! Calling an order off: the request is stored at once, the money follows in
//! the background.

use tracing::instrument;

use super::{App, Error, orders::Caller, ports::Saved};
use crate::domain::{
    ids::OrderId,
    order::{Order, Request},
    status::Reason,
};

/// How often an order may change under our hands.
const ROUNDS: usize = 32;

/// An order whose cancel was accepted.
#[derive(Debug)]
pub struct CalledOff {
    /// The order as it is stored.
    pub order: Order,
    /// Whether no money is held for it any more.
    pub done: bool,
}

impl App {
    /// Accepts the wish of the owner or of an operator to call an order off.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn cancel_order(&self, caller: Caller, id: OrderId) -> Result<CalledOff, Error> {
        let order = self.order(caller, id).await?;
        let reason = if order.user == caller.user { Reason::CancelledByCustomer } else { Reason::CancelledByOperator };
        self.call_off(order, reason).await
    }

    pub(super) async fn call_off(&self, mut order: Order, reason: Reason) -> Result<CalledOff, Error> {
        for _ in 0..ROUNDS {
            let expected = order.version;
            let moved = match order.cancel(reason, self.clock.now())? {
                Request::Accepted(moved) => moved,
                request => {
                    let done = request == Request::Done;
                    return Ok(CalledOff { order, done });
                }
            };
            if self.store(&order, expected, moved, None).await? == Saved::Stored {
                self.follow_ups.push(order.id);
                return Ok(CalledOff { order, done: false });
            }
            order = self.reload(order.id).await?;
        }
        Err(Error::Contended)
    }
}
