//! Cancelling an order: the cancel is stored at once, the money follows in
//! the background.

use tracing::instrument;

use super::{App, Error, orders::Caller, ports::Saved};
use crate::domain::{
    ids::OrderId,
    order::{CommandOutcome, Order},
    status::Reason,
};

/// How often it is tried again when others change the order.
const MAX_ROUNDS: usize = 32;

/// A cancel that was accepted.
#[derive(Debug)]
pub struct Cancellation {
    /// The order as it is stored.
    pub order: Order,
    /// Whether no money is held for it any more.
    pub done: bool,
}

impl App {
    /// Accepts a cancel by the owner or an operator.
    ///
    /// # Errors
    /// There is no such order for the caller, it was rejected, or it cannot be stored.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn cancel_order(&self, caller: Caller, id: OrderId) -> Result<Cancellation, Error> {
        let order = self.order(caller, id).await?;
        let reason = if order.user == caller.user { Reason::CancelledByCustomer } else { Reason::CancelledByOperator };
        self.cancel_because(order, reason).await
    }

    pub(super) async fn cancel_because(&self, mut order: Order, reason: Reason) -> Result<Cancellation, Error> {
        for _ in 0..MAX_ROUNDS {
            let expected = order.version;
            let transition = match order.cancel(reason, self.clock.now())? {
                CommandOutcome::Accepted(transition) => transition,
                outcome => {
                    let done = outcome == CommandOutcome::Done;
                    return Ok(Cancellation { order, done });
                }
            };
            if self.store(&order, expected, transition, None).await? == Saved::Stored {
                self.follow_ups.push(order.id);
                return Ok(Cancellation { order, done: false });
            }
            // Something else was stored first: what a cancel means is decided by the newer state.
            order = self.reload(order.id).await?;
        }
        Err(Error::Contended)
    }
}
