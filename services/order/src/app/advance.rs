//! The saga: one idempotent function that looks at the stored order and does
//! the next step, until the order rests or payment does not answer.
//!
//! It may run any number of times at once for one order: payment's commands are
//! idempotent, and what they lead to is stored only over the version that was
//! read. Who comes second reads again and decides again.

use std::time::Duration;

use messaging::Receipt;
use tokio::time::{Instant, timeout_at};
use tracing::instrument;

use super::{
    App, Error,
    ports::{Authorization, Capture, PaymentError, Saved},
    published::effects,
};
use crate::domain::{
    ids::OrderId,
    order::{Moved, Order, Refused, Step},
    status::Reason,
};

/// How often an order may change under our hands before we leave it to the sweeper.
const ROUNDS: usize = 32;
/// How long one run may take when nobody waits for it.
pub(super) const UNHURRIED: Duration = Duration::from_secs(5);

/// Where a run of the saga ended.
#[derive(Debug)]
pub struct Advanced {
    /// The order as it is stored.
    pub order: Order,
    /// Why the next step was not done.
    pub blocked: Option<PaymentError>,
}

/// Why a step was not done.
enum Stop {
    Payment(PaymentError),
    /// Payment's answer does not fit the order; it has moved meanwhile, or will not.
    Refused(Refused),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl App {
    /// Runs the saga of an order. The receipt of the event that calls for it is
    /// stored with the first change, or alone when nothing changes. `None` when
    /// there is no such order.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn advance(&self, id: OrderId, receipt: Option<Receipt>) -> Result<Option<Advanced>, Error> {
        let Some(order) = self.orders.get(id).await? else {
            self.note(receipt).await?;
            return Ok(None);
        };
        self.drive(order, receipt, Instant::now() + UNHURRIED).await.map(Some)
    }

    /// Runs the saga for somebody who waits `budget` at most: while payment is
    /// there and does not know yet, it is asked again.
    pub(super) async fn drive_within(&self, mut order: Order, budget: Duration) -> Result<Advanced, Error> {
        let until = Instant::now() + budget;
        let mut pause = Duration::from_millis(100);
        loop {
            let advanced = self.drive(order, None, until).await?;
            let again = Instant::now() + pause;
            let undecided = matches!(advanced.blocked, Some(PaymentError::Undecided(_)));
            if !undecided || again >= until {
                return Ok(advanced);
            }
            tokio::time::sleep_until(again).await;
            pause *= 2;
            order = self.reload(advanced.order.id).await?;
        }
    }

    /// Runs the saga from `order`, asking payment nothing after `until`.
    pub(super) async fn drive(
        &self,
        mut order: Order,
        mut receipt: Option<Receipt>,
        until: Instant,
    ) -> Result<Advanced, Error> {
        for _ in 0..ROUNDS {
            let Some(step) = order.next_step(self.times.patience, self.clock.now()) else {
                self.note(receipt).await?;
                return Ok(rested(order));
            };
            let mut next = order.clone();
            let moved = match self.step(step, &mut next, until).await {
                Ok(moved) => moved,
                Err(Stop::Payment(error)) => {
                    self.note(receipt).await?;
                    tracing::debug!(order.id = %order.id, error = %error, "payment has not answered");
                    let blocked = Some(error);
                    return Ok(Advanced { order, blocked });
                }
                Err(Stop::Refused(refused)) => {
                    self.note(receipt).await?;
                    let blocked = Some(PaymentError::Failed(refused.into()));
                    return Ok(Advanced { order, blocked });
                }
            };
            let expected = order.version;
            order = match self.store(&next, expected, moved, receipt.clone()).await? {
                Saved::Stored => {
                    receipt = None;
                    next
                }
                Saved::Conflict => self.reload(order.id).await?,
                Saved::Duplicate => {
                    receipt = None;
                    self.reload(order.id).await?
                }
            };
        }
        Err(Error::Contended)
    }

    /// Stores a change of an order with its event.
    pub(super) async fn store(
        &self,
        order: &Order,
        expected: u64,
        moved: Moved,
        receipt: Option<Receipt>,
    ) -> Result<Saved, Error> {
        let effects = effects(order, moved.event, receipt, self.clock.now())?;
        let saved = self.orders.save(order, expected, moved.release_stock, effects).await;
        if moved.release_stock {
            self.shelf.drop_ordered(order).await;
        }
        let saved = saved?;
        if saved == Saved::Stored {
            tracing::info!(order.id = %order.id, order.status = order.status.name(), "order moved");
        }
        Ok(saved)
    }

    pub(super) async fn reload(&self, id: OrderId) -> Result<Order, Error> {
        let order = self.orders.get(id).await?;
        order.ok_or(Error::NotFound("order"))
    }

    async fn note(&self, receipt: Option<Receipt>) -> Result<(), Error> {
        if let Some(receipt) = receipt {
            self.orders.note(receipt).await?;
        }
        Ok(())
    }

    async fn step(&self, step: Step, order: &mut Order, until: Instant) -> Result<Moved, Stop> {
        let id = order.id;
        match step {
            Step::Abandon => Ok(order.abandon(self.clock.now())?),
            Step::Authorize => {
                let Some(token) = order.token.clone() else {
                    return Ok(order.abandon(self.clock.now())?);
                };
                let answer = asked(until, self.payments.authorize(order, &token)).await?;
                Ok(self.after_authorize(order, answer)?)
            }
            Step::Void => {
                let payment = asked(until, self.payments.void(id)).await?;
                Ok(order.voided(payment, self.clock.now())?)
            }
            Step::Capture => match asked(until, self.payments.capture(id)).await? {
                Capture::Captured(payment) => Ok(order.captured(payment, self.clock.now())?),
                Capture::Impossible => Ok(order.uncapturable(self.clock.now())?),
            },
            Step::Refund => {
                let payment = asked(until, self.payments.refund(id)).await?;
                Ok(order.refunded(payment, self.clock.now())?)
            }
        }
    }

    fn after_authorize(&self, order: &mut Order, answer: Authorization) -> Result<Moved, Refused> {
        let now = self.clock.now();
        match answer {
            Authorization::Authorized(payment) => order.authorized(payment, now),
            Authorization::Declined(payment, reason) => order.declined(payment, reason, now),
            Authorization::Voided(payment) => order.declined(Some(payment), Reason::PaymentUnavailable, now),
        }
    }
}

fn rested(order: Order) -> Advanced {
    Advanced { order, blocked: None }
}

/// Waits for payment until then; a late answer is none.
async fn asked<T>(until: Instant, answer: impl Future<Output = Result<T, PaymentError>>) -> Result<T, Stop> {
    match timeout_at(until, answer).await {
        Ok(answer) => answer.map_err(Stop::Payment),
        Err(late) => Err(Stop::Payment(PaymentError::Undecided(late.into()))),
    }
}
