//! The order: its states, the verbs that change it, and the next step of its saga.
//!
//! ```text
//! pending ──► confirmed ──► fulfilling ──► fulfilled
//!   │  │          │             │              │
//!   │  │          ▼             ▼              ▼
//!   │  ├────► cancelling    refunding ◄────────┘
//!   │  ▼          │   ▲         │ │
//!   │ abandoning  ▼   └─────────┘ ▼
//!   ▼  │      cancelled        refunded
//! rejected
//! ```
//!
//! What payment cannot void, because it was captured elsewhere, goes from `cancelling` or `abandoning` to `refunding`.

use std::{ops::Deref, time::Duration};

use money::Money;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    basket::Item,
    event::DomainEvent,
    ids::{OrderId, UserId},
    status::{PaymentStatus, Reason, Status},
    values::PaymentToken,
};

/// The payment of an order, as far as order knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Its id at the payment service.
    pub id: Uuid,
    /// Its state.
    pub status: PaymentStatus,
}

/// The trace and the canary mark of the request that placed an order: what is
/// done for the order later is done under them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// W3C `traceparent`.
    pub traceparent: Option<String>,
    /// W3C `tracestate`.
    pub tracestate: Option<String>,
    /// Whether the request was marked `x-canary: true`.
    pub canary: bool,
}

/// When the sweeper has to advance an order, and how often that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Not before this.
    pub due_at: OffsetDateTime,
    /// Failed attempts since the last transition.
    pub attempts: u32,
}

/// What an order is made of. Read it through [`Order`], change it by its verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Derived from user and idempotency key.
    pub id: OrderId,
    /// Whose it is.
    pub user: UserId,
    /// Its state.
    pub status: Status,
    /// Why it was rejected or cancelled.
    pub reason: Option<Reason>,
    /// Of an order that is or was on its way to cancelled or refunded: whether it was confirmed before. `None` of others,
    /// and where a version that did not store it accepted the cancel.
    pub was_confirmed: Option<bool>,
    /// At least one, all in the currency of `total`.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// Once payment has answered.
    pub payment: Option<Payment>,
    /// Until payment has answered.
    pub token: Option<PaymentToken>,
    /// SHA-256 of the body it was placed with.
    pub digest: [u8; 32],
    /// The context of the request it was placed by.
    pub origin: Origin,
    /// Raised by every transition.
    pub version: u64,
    /// Some while the saga has a step to do.
    pub schedule: Option<Schedule>,
    /// When it was placed.
    pub created_at: OffsetDateTime,
    /// When it last changed state.
    pub updated_at: OffsetDateTime,
}

/// An order to be placed: priced, not stored.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Derived from user and idempotency key.
    pub id: OrderId,
    /// Who places it.
    pub user: UserId,
    /// From [`super::basket::price`].
    pub items: Vec<Item>,
    /// From [`super::basket::price`].
    pub total: Money,
    /// To pay with.
    pub token: PaymentToken,
    /// SHA-256 of the request's body.
    pub digest: [u8; 32],
    /// The context of the request.
    pub origin: Origin,
}

/// An order. Its [`State`] can be read, and changed by the verbs only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(State);

impl Deref for Order {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// What has to be stored together with an order that has changed state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Transition {
    /// To be published.
    pub event: Option<DomainEvent>,
    /// Whether the order's stock is released.
    pub release_stock: bool,
}

/// An order's state does not allow what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} cannot be {verb}", from.public_name())]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: Status,
    /// What was asked for.
    pub verb: &'static str,
}

/// The outcome of a command that may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// The order has changed state and must be stored.
    Accepted(Transition),
    /// Accepted before; the saga is carrying it out.
    InProgress,
    /// Accepted before and carried out.
    Done,
}

/// The next step of the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask payment to hold the money.
    Authorize,
    /// Give up waiting for payment: [`Order::abandon`].
    Abandon,
    /// Ask payment to hold the money no longer.
    Void,
    /// Ask payment to take the money.
    Capture,
    /// Ask payment to give the money back.
    Refund,
}

/// How long after a transition the sweeper leaves the order to whoever made it.
const SWEEP_DELAY: Duration = Duration::from_secs(2);

impl Order {
    /// Places an order. The sweeper leaves it to its request for `grace`, in which
    /// that request waits for payment.
    pub fn place(draft: Draft, grace: Duration, now: OffsetDateTime) -> (Self, Transition) {
        let order = Self(State {
            id: draft.id,
            user: draft.user,
            status: Status::Pending,
            reason: None,
            was_confirmed: None,
            items: draft.items,
            total: draft.total,
            payment: None,
            token: Some(draft.token),
            digest: draft.digest,
            origin: draft.origin,
            version: 1,
            schedule: Some(Schedule { due_at: now + grace.max(SWEEP_DELAY), attempts: 0 }),
            created_at: now,
            updated_at: now,
        });
        (order, emit(DomainEvent::Placed))
    }

    /// An order as it was stored.
    pub fn restore(state: State) -> Self {
        Self(state)
    }

    /// What the saga has to do next; `None` when there is nothing to do.
    /// An order that is pending for `pending_timeout` is abandoned, once payment has been asked that long.
    pub fn next_step(&self, pending_timeout: Duration, now: OffsetDateTime) -> Option<Step> {
        match self.status {
            Status::Pending if self.has_waited(pending_timeout, now) => Some(Step::Abandon),
            Status::Pending => Some(Step::Authorize),
            Status::Abandoning | Status::Cancelling => Some(Step::Void),
            Status::Refunding if self.is_captured() => Some(Step::Refund),
            Status::Fulfilling | Status::Refunding => Some(Step::Capture),
            Status::Confirmed | Status::Fulfilled | Status::Rejected | Status::Cancelled | Status::Refunded => None,
        }
    }

    /// Payment holds the money.
    pub fn authorized(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Pending], "confirmed")?;
        self.0.payment = Some(payment);
        self.enter(Status::Confirmed, now);
        Ok(emit(DomainEvent::Confirmed))
    }

    /// Payment does not hold the money and never will.
    pub fn declined(
        &mut self,
        payment: Option<Payment>,
        reason: Reason,
        now: OffsetDateTime,
    ) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Pending], "rejected")?;
        Ok(self.reject(payment, reason, now))
    }

    /// Gives up waiting for payment. The payment is voided before the order is
    /// rejected: an authorization that arrives late must not hold money.
    pub fn abandon(&mut self, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Pending], "abandoned")?;
        self.enter(Status::Abandoning, now);
        Ok(Transition::default())
    }

    /// Payment holds no money, and never will: it was voided, declined or never made.
    pub fn voided(&mut self, payment: Option<Payment>, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Abandoning, Status::Cancelling], "voided")?;
        if self.status == Status::Abandoning {
            let declined = payment.is_some_and(|p| p.status == PaymentStatus::Declined);
            let reason = if declined { Reason::PaymentDeclined } else { Reason::PaymentUnavailable };
            return Ok(self.reject(payment, reason, now));
        }
        self.0.payment = payment.or(self.payment);
        self.enter(Status::Cancelled, now);
        Ok(emit_and_release(DomainEvent::Cancelled))
    }

    /// Accepts a cancel: the payment is voided before the goods leave, refunded after. Closing an account takes nothing
    /// back that is leaving or has left.
    pub fn cancel(&mut self, reason: Reason, now: OffsetDateTime) -> Result<CommandOutcome, InvalidTransition> {
        let to = match self.status {
            Status::Pending | Status::Abandoning | Status::Confirmed => Status::Cancelling,
            Status::Fulfilling | Status::Fulfilled if reason == Reason::AccountClosed => {
                return Err(self.invalid("cancelled"));
            }
            Status::Fulfilling | Status::Fulfilled => Status::Refunding,
            Status::Cancelling | Status::Refunding => return Ok(CommandOutcome::InProgress),
            Status::Cancelled | Status::Refunded => return Ok(CommandOutcome::Done),
            Status::Rejected => return Err(self.invalid("cancelled")),
        };
        self.0.reason = Some(reason);
        self.enter(to, now);
        Ok(CommandOutcome::Accepted(Transition::default()))
    }

    /// Accepts the fulfilment. It competes with a cancel: the one that is stored
    /// first wins, and the other finds a newer version and decides again.
    pub fn fulfil(&mut self, now: OffsetDateTime) -> Result<CommandOutcome, InvalidTransition> {
        match self.status {
            Status::Confirmed => {
                self.enter(Status::Fulfilling, now);
                Ok(CommandOutcome::Accepted(Transition::default()))
            }
            Status::Fulfilling => Ok(CommandOutcome::InProgress),
            Status::Fulfilled => Ok(CommandOutcome::Done),
            _ => Err(self.invalid("fulfilled")),
        }
    }

    /// Payment has taken the money.
    pub fn captured(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        use Status::{Abandoning, Cancelling, Fulfilling, Refunding};
        self.require_status(&[Fulfilling, Refunding, Abandoning, Cancelling], "captured")?;
        self.0.payment = Some(payment);
        if self.status != Fulfilling {
            // The cancel came after the fulfilment, or somebody had captured at the provider itself: the next step
            // gives the money back.
            self.0.reason = self.reason.or(Some(Reason::PaymentUnavailable));
            self.enter(Refunding, now);
            return Ok(Transition::default());
        }
        self.enter(Status::Fulfilled, now);
        Ok(emit(DomainEvent::Fulfilled))
    }

    /// Payment has no money to take, because somebody else voided it: the goods
    /// stay and the order is cancelled.
    pub fn uncapturable(&mut self, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Fulfilling, Status::Refunding], "cancelled")?;
        // The money was taken already: only a refund is right.
        if self.is_captured() {
            return Err(self.invalid("cancelled"));
        }
        self.0.reason = self.reason.or(Some(Reason::PaymentUnavailable));
        self.enter(Status::Cancelling, now);
        Ok(Transition::default())
    }

    /// Payment has given the money back.
    pub fn refunded(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Transition, InvalidTransition> {
        self.require_status(&[Status::Refunding], "refunded")?;
        self.0.payment = Some(payment);
        self.enter(Status::Refunded, now);
        Ok(emit(DomainEvent::Refunded))
    }

    /// Postpones an order whose step failed: by 1 s, 2 s, 4 s, then 8 s each time.
    pub fn postpone(&mut self, now: OffsetDateTime) -> Option<Schedule> {
        let attempts = self.schedule?.attempts.saturating_add(1);
        let wait = pauses(attempts).saturating_sub(pauses(attempts - 1));
        self.0.schedule = Some(Schedule { due_at: now + wait, attempts });
        self.0.schedule
    }

    /// Whether the order has waited so long for payment, by the clock and by the attempts that failed: a clock that is an
    /// hour ahead for seconds ends no order. At least half of the time passes in pauses, the rest in attempts. Where all
    /// of it has passed in pauses the clock is not asked: it may have been ahead when the order was placed.
    fn has_waited(&self, timeout: Duration, now: OffsetDateTime) -> bool {
        let paused = pauses(self.schedule.map_or(0, |schedule| schedule.attempts));
        paused >= timeout || (paused >= timeout / 2 && now - self.created_at >= timeout)
    }

    fn is_captured(&self) -> bool {
        self.payment.is_some_and(|payment| payment.status == PaymentStatus::Captured)
    }

    fn reject(&mut self, payment: Option<Payment>, reason: Reason, now: OffsetDateTime) -> Transition {
        self.0.payment = payment;
        self.0.reason = Some(reason);
        self.enter(Status::Rejected, now);
        emit_and_release(DomainEvent::Rejected)
    }

    fn enter(&mut self, to: Status, now: OffsetDateTime) {
        let state = &mut self.0;
        if to != Status::Pending {
            state.token = None;
        }
        if matches!(to, Status::Cancelling | Status::Refunding) {
            // The last moment at which the status tells.
            state.was_confirmed = state.was_confirmed.or(state.status.was_confirmed());
        }
        state.status = to;
        state.version += 1;
        // Another process' clock may be ahead of ours; time in an order does not go back.
        state.updated_at = now.max(state.updated_at);
        state.schedule = to.is_in_progress().then(|| Schedule { due_at: now + SWEEP_DELAY, attempts: 0 });
    }

    fn require_status(&self, allowed: &[Status], verb: &'static str) -> Result<(), InvalidTransition> {
        if allowed.contains(&self.status) { Ok(()) } else { Err(self.invalid(verb)) }
    }

    fn invalid(&self, verb: &'static str) -> InvalidTransition {
        InvalidTransition { from: self.status, verb }
    }
}

/// The pauses after so many failed attempts, added up.
fn pauses(attempts: u32) -> Duration {
    let doubling = attempts.min(3);
    Duration::from_secs((1 << doubling) - 1 + 8 * u64::from(attempts - doubling))
}

fn emit(event: DomainEvent) -> Transition {
    Transition { event: Some(event), release_stock: false }
}

fn emit_and_release(event: DomainEvent) -> Transition {
    Transition { event: Some(event), release_stock: true }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
