//! The saga: one idempotent function that looks at the stored order and does
//! the next step, until there is none or payment does not answer.
//!
//! It may run any number of times at once for one order: payment's commands are
//! idempotent, and what they lead to is stored only over the version that was
//! read. Whoever comes second reads again and decides again.

use std::time::Duration;

use messaging::Receipt;
use tokio::time::{Instant, timeout_at};
use tracing::instrument;

use super::{
    App, Error,
    ports::{Authorization, Capture, PaymentError, Saved, Void},
    published::effects,
};
use crate::domain::{
    ids::OrderId,
    order::{InvalidTransition, Order, Payment, Step, Transition},
    status::{PaymentStatus, Reason, Status},
};

/// How often a run starts over because others changed the order, before it is left to the sweeper.
const MAX_ROUNDS: usize = 32;
/// How long a run may take when no request waits for it.
const BACKGROUND_BUDGET: Duration = Duration::from_secs(5);
/// The pause before payment is asked again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long payment's event waits for another process that got payment's answer itself and is about to store it.
const ANSWERED: Duration = Duration::from_millis(20);

/// Where a run of the saga ended.
#[derive(Debug)]
pub struct Advanced {
    /// The order as it is stored.
    pub order: Order,
    /// Why the next step was not done.
    pub blocked: Option<PaymentError>,
}

/// Why a step was not done.
enum Blocked {
    Payment(PaymentError),
    /// Payment's answer does not fit the order.
    Transition(InvalidTransition),
}

impl From<InvalidTransition> for Blocked {
    fn from(error: InvalidTransition) -> Self {
        Self::Transition(error)
    }
}

impl App {
    /// Runs the saga of an order that payment has told of, where what it tells is not stored yet. `None` when there is no such
    /// order.
    ///
    /// # Errors
    /// The store failed, or others kept changing the order.
    pub async fn hear_of_payment(
        &self,
        id: OrderId,
        payment: PaymentStatus,
        receipt: Receipt,
    ) -> Result<Option<()>, Error> {
        if self.in_hand.has_stored(id, payment).await {
            return Ok(Some(()));
        }
        Ok(self.advance(id, Some(receipt)).await?.map(drop))
    }

    /// Runs the saga of an order. The receipt of the event that calls for it is stored with the first transition; where there
    /// is none it is not stored, since nothing was done that could be done twice. `None` when there is no such order.
    ///
    /// # Errors
    /// The store failed, or others kept changing the order.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn advance(&self, id: OrderId, receipt: Option<Receipt>) -> Result<Option<Advanced>, Error> {
        let Some(mut order) = self.orders.get(id).await? else { return Ok(None) };
        // Another process may have it in hand, and is about to store payment's answer.
        if receipt.is_some() && order.status == Status::Pending && self.clock.now() - order.updated_at < ANSWERED * 10 {
            tokio::time::sleep(ANSWERED).await;
            order = self.reload(id).await?;
        }
        self.advance_until(order, receipt, Instant::now() + BACKGROUND_BUDGET).await.map(Some)
    }

    /// Runs the saga for a request that waits `budget` at most: while payment
    /// answers that it does not know yet, it is asked again.
    pub(super) async fn advance_within(&self, mut order: Order, budget: Duration) -> Result<Advanced, Error> {
        let until = Instant::now() + budget;
        let mut pause = FIRST_PAUSE;
        loop {
            let advanced = self.advance_until(order, None, until).await?;
            let again = Instant::now() + pause;
            // Payment that is down, or answers outside its contract, will not know within this request.
            let undecided = matches!(advanced.blocked, Some(PaymentError::Undecided(_)));
            if !undecided || again >= until {
                return Ok(advanced);
            }
            tokio::time::sleep_until(again).await;
            pause *= 2;
            // The answer may have come by an event meanwhile.
            order = self.reload(advanced.order.id).await?;
        }
    }

    /// Runs the saga from `order`, waiting for payment until `until` at most.
    async fn advance_until(
        &self,
        mut order: Order,
        mut receipt: Option<Receipt>,
        until: Instant,
    ) -> Result<Advanced, Error> {
        let _hand = self.in_hand.take(order.id);
        for _ in 0..MAX_ROUNDS {
            let Some(step) = order.next_step(self.timeouts.pending, self.clock.now()) else {
                return Ok(Advanced { order, blocked: None });
            };
            // The step changes a copy: `order` stays as it is stored, should payment not answer.
            let mut next = order.clone();
            let transition = match self.perform(step, &mut next, until).await {
                Ok(transition) => transition,
                // The event that called for this run has done its part: from here on the sweeper repeats the step.
                Err(blocked) => return Ok(blocked.at(order)),
            };
            // Payment was asked without holding anything: another run, a cancel or a fulfilment may have stored a
            // newer version meanwhile, and then what was decided here is void. Payment's answer is not lost by that,
            // since asking again gives the same one.
            let expected = order.version;
            order = match self.store(&next, expected, transition, receipt.clone()).await? {
                Saved::Stored => {
                    receipt = None;
                    if let Some(payment) = next.payment {
                        self.in_hand.stored(next.id, payment.status);
                    }
                    next
                }
                Saved::Stale => self.reload(order.id).await?,
                // The event was handled before, so its receipt is stored: the run goes on without it.
                Saved::Duplicate => {
                    receipt = None;
                    self.reload(order.id).await?
                }
            };
        }
        Err(Error::Contended)
    }

    /// Stores a transition of an order with its event.
    pub(super) async fn store(
        &self,
        order: &Order,
        expected: u64,
        transition: Transition,
        receipt: Option<Receipt>,
    ) -> Result<Saved, Error> {
        let effects = effects(order, transition.event, receipt, self.clock.now())?;
        let saved = self.orders.save(order, expected, transition.release_stock, effects).await;
        // Also after an error: the order may have been stored all the same.
        if transition.release_stock {
            self.product_cache.invalidate_ordered(order).await;
        }
        let saved = saved?;
        if saved == Saved::Stored {
            self.metrics.changed(order);
            tracing::info!(order.id = %order.id, order.status = order.status.name(), "order status changed");
        }
        Ok(saved)
    }

    pub(super) async fn reload(&self, id: OrderId) -> Result<Order, Error> {
        let order = self.orders.get(id).await?;
        order.ok_or(Error::NotFound("order"))
    }

    /// Does a step, and changes `order` by what payment answered.
    async fn perform(&self, step: Step, order: &mut Order, until: Instant) -> Result<Transition, Blocked> {
        let id = order.id;
        match step {
            Step::Abandon => Ok(order.abandon(self.clock.now())?),
            Step::Authorize => {
                // Without a token there is nothing to authorize with; a void makes sure that nothing was.
                let Some(token) = order.token.clone() else {
                    return Ok(order.abandon(self.clock.now())?);
                };
                let answer = answer_by(until, self.payments.authorize(order, &token)).await?;
                Ok(self.apply_authorization(order, answer)?)
            }
            Step::Void => {
                match answer_by(until, self.payments.void(id)).await? {
                    Void::Released(payment) => Ok(order.voided(payment, self.clock.now())?),
                    Void::Refused => {
                        // Only what was taken is refunded: a void that was refused for another reason ends here.
                        let payment = answer_by(until, self.payments.refund(id)).await?;
                        tracing::warn!(order.id = %id, "captured elsewhere and given back: its goods have not left, restock them");
                        Ok(order.captured(Payment { status: PaymentStatus::Captured, ..payment }, self.clock.now())?)
                    }
                }
            }
            Step::Capture => match answer_by(until, self.payments.capture(id)).await? {
                Capture::Captured(payment) => Ok(order.captured(payment, self.clock.now())?),
                Capture::Impossible => Ok(order.uncapturable(self.clock.now())?),
            },
            Step::Refund => {
                let payment = answer_by(until, self.payments.refund(id)).await?;
                Ok(order.refunded(payment, self.clock.now())?)
            }
        }
    }

    fn apply_authorization(&self, order: &mut Order, answer: Authorization) -> Result<Transition, InvalidTransition> {
        let now = self.clock.now();
        match answer {
            Authorization::Authorized(payment) => order.authorized(payment, now),
            Authorization::Declined(payment, reason) => order.declined(payment, reason, now),
            // Voided by another run that gave up or cancelled: no money is held, whatever the order says now.
            Authorization::Voided(payment) => order.declined(Some(payment), Reason::PaymentUnavailable, now),
        }
    }
}

impl Blocked {
    /// The end of a run that leaves the order as it is stored.
    fn at(self, order: Order) -> Advanced {
        let error = match self {
            Self::Payment(error) => error,
            Self::Transition(error) => PaymentError::Failed(error.into()),
        };
        tracing::debug!(order.id = %order.id, error = &error as &dyn std::error::Error, "the saga's next step waits");
        Advanced { order, blocked: Some(error) }
    }
}

/// Waits for payment until then; an answer that comes later is none.
///
/// Payment may still carry out what it was asked for: that is why each of its
/// commands is idempotent by order, and the step is repeated.
async fn answer_by<T>(until: Instant, answer: impl Future<Output = Result<T, PaymentError>>) -> Result<T, Blocked> {
    match timeout_at(until, answer).await {
        Ok(answer) => answer.map_err(Blocked::Payment),
        Err(late) => Err(Blocked::Payment(PaymentError::Undecided(late.into()))),
    }
}
