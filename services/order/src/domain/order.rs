//! The order: its states, the verbs that move it, and the next step of its saga.
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

use std::{ops::Deref, time::Duration};

use money::Money;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    basket::Item,
    event::Event,
    ids::{OrderId, UserId},
    status::{PaymentStatus, Reason, Status},
    values::PaymentToken,
};

/// The payment of an order, as far as order knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// Its id at the payment service.
    pub id: Uuid,
    /// Where it stands.
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

/// When the sweeper has to look after an order, and how often it did in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowUp {
    /// Not before this.
    pub due_at: OffsetDateTime,
    /// Attempts since the order last moved.
    pub attempts: u32,
}

/// What an order is made of. Read it through [`Order`], change it by its verbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Derived from user and idempotency key.
    pub id: OrderId,
    /// Whose it is.
    pub user: UserId,
    /// Where it stands.
    pub status: Status,
    /// Why it was not, or is no longer, wanted.
    pub reason: Option<Reason>,
    /// At least one, all in the currency of `total`.
    pub items: Vec<Item>,
    /// The sum of the items.
    pub total: Money,
    /// Once payment has answered.
    pub payment: Option<Payment>,
    /// Only while it is needed.
    pub token: Option<PaymentToken>,
    /// Of the body it was placed with.
    pub digest: [u8; 32],
    /// Of the request it was placed by.
    pub origin: Origin,
    /// Raised by every change.
    pub version: u64,
    /// Some while the saga has a step to do.
    pub follow_up: Option<FollowUp>,
    /// When it was placed.
    pub created_at: OffsetDateTime,
    /// When it last moved.
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
    /// Of the request's body.
    pub digest: [u8; 32],
    /// Of the request.
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

/// What has to be stored together with a change of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Moved {
    /// To be told outside.
    pub event: Option<Event>,
    /// Whether the quantities go back into stock.
    pub release_stock: bool,
}

/// An order's state does not allow what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} cannot be {verb}", from.shown())]
pub struct Refused {
    /// The state it is in.
    pub from: Status,
    /// What was asked for.
    pub verb: &'static str,
}

/// The answer to a request that may come more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The order has moved and must be stored.
    Accepted(Moved),
    /// Asked for before; the saga is at it.
    UnderWay,
    /// Asked for before and done.
    Done,
}

/// The next step of the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask payment to hold the money.
    Authorize,
    /// Waited long enough: [`Order::abandon`].
    Abandon,
    /// Ask payment to hold the money no longer.
    Void,
    /// Ask payment to take the money.
    Capture,
    /// Ask payment to give the money back.
    Refund,
}

/// The sweeper leaves an order alone that moved more recently than this.
const SETTLE: Duration = Duration::from_secs(2);

impl Order {
    /// Places an order. The sweeper leaves it alone for `grace`, in which
    /// whoever placed it waits for payment.
    pub fn place(draft: Draft, grace: Duration, now: OffsetDateTime) -> (Self, Moved) {
        let order = Self(State {
            id: draft.id,
            user: draft.user,
            status: Status::Pending,
            reason: None,
            items: draft.items,
            total: draft.total,
            payment: None,
            token: Some(draft.token),
            digest: draft.digest,
            origin: draft.origin,
            version: 1,
            follow_up: Some(FollowUp { due_at: now + grace.max(SETTLE), attempts: 0 }),
            created_at: now,
            updated_at: now,
        });
        (order, told(Event::Placed))
    }

    /// An order as it was stored.
    pub fn restore(state: State) -> Self {
        Self(state)
    }

    /// What the saga has to do next; `None` when the order rests.
    /// An order that payment has not answered for `patience` is given up.
    pub fn next_step(&self, patience: Duration, now: OffsetDateTime) -> Option<Step> {
        match self.status {
            Status::Pending if now - self.created_at >= patience => Some(Step::Abandon),
            Status::Pending => Some(Step::Authorize),
            Status::Abandoning | Status::Cancelling => Some(Step::Void),
            Status::Refunding if self.is_captured() => Some(Step::Refund),
            Status::Fulfilling | Status::Refunding => Some(Step::Capture),
            Status::Confirmed | Status::Fulfilled | Status::Rejected | Status::Cancelled | Status::Refunded => None,
        }
    }

    /// Payment holds the money.
    pub fn authorized(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Pending], "confirmed")?;
        self.0.payment = Some(payment);
        self.go(Status::Confirmed, now);
        Ok(told(Event::Confirmed))
    }

    /// Payment does not hold the money and never will.
    pub fn declined(
        &mut self,
        payment: Option<Payment>,
        reason: Reason,
        now: OffsetDateTime,
    ) -> Result<Moved, Refused> {
        self.only_from(&[Status::Pending], "rejected")?;
        Ok(self.reject(payment, reason, now))
    }

    /// Gives up waiting for payment.
    pub fn abandon(&mut self, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Pending], "given up")?;
        self.go(Status::Abandoning, now);
        Ok(Moved::default())
    }

    /// Payment holds no money, and never will: it was voided, declined or never made.
    pub fn voided(&mut self, payment: Option<Payment>, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Abandoning, Status::Cancelling], "voided")?;
        if self.status == Status::Abandoning {
            let declined = payment.is_some_and(|p| p.status == PaymentStatus::Declined);
            let reason = if declined { Reason::PaymentDeclined } else { Reason::PaymentUnavailable };
            return Ok(self.reject(payment, reason, now));
        }
        self.0.payment = payment.or(self.payment);
        self.go(Status::Cancelled, now);
        Ok(gone(Event::Cancelled))
    }

    /// Asks for the order to be called off: voided before the goods leave,
    /// refunded after.
    pub fn cancel(&mut self, reason: Reason, now: OffsetDateTime) -> Result<Request, Refused> {
        let to = match self.status {
            Status::Pending | Status::Abandoning | Status::Confirmed => Status::Cancelling,
            Status::Fulfilling | Status::Fulfilled => Status::Refunding,
            Status::Cancelling | Status::Refunding => return Ok(Request::UnderWay),
            Status::Cancelled | Status::Refunded => return Ok(Request::Done),
            Status::Rejected => return Err(self.refuse("cancelled")),
        };
        self.0.reason = Some(reason);
        self.go(to, now);
        Ok(Request::Accepted(Moved::default()))
    }

    /// Asks for the goods to leave. Whoever stores this first, against a
    /// cancel, decides which of the two it is.
    pub fn fulfil(&mut self, now: OffsetDateTime) -> Result<Request, Refused> {
        match self.status {
            Status::Confirmed => {
                self.go(Status::Fulfilling, now);
                Ok(Request::Accepted(Moved::default()))
            }
            Status::Fulfilling => Ok(Request::UnderWay),
            Status::Fulfilled => Ok(Request::Done),
            _ => Err(self.refuse("fulfilled")),
        }
    }

    /// Payment has taken the money.
    pub fn captured(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Fulfilling, Status::Refunding], "captured")?;
        self.0.payment = Some(payment);
        if self.status == Status::Refunding {
            self.go(Status::Refunding, now);
            return Ok(Moved::default());
        }
        self.go(Status::Fulfilled, now);
        Ok(told(Event::Fulfilled))
    }

    /// Payment has no money to take, so the goods stay: it was voided from
    /// elsewhere. The order is called off.
    pub fn uncapturable(&mut self, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Fulfilling, Status::Refunding], "called off")?;
        if self.is_captured() {
            return Err(self.refuse("called off"));
        }
        self.0.reason = self.reason.or(Some(Reason::PaymentUnavailable));
        self.go(Status::Cancelling, now);
        Ok(Moved::default())
    }

    /// Payment has given the money back.
    pub fn refunded(&mut self, payment: Payment, now: OffsetDateTime) -> Result<Moved, Refused> {
        self.only_from(&[Status::Refunding], "refunded")?;
        self.0.payment = Some(payment);
        self.go(Status::Refunded, now);
        Ok(told(Event::Refunded))
    }

    /// Puts off the next look at an order whose step failed: 1 s, 2 s, 4 s, then every 8 s.
    pub fn postpone(&mut self, now: OffsetDateTime) -> Option<FollowUp> {
        let attempts = self.follow_up?.attempts.saturating_add(1);
        let wait = Duration::from_secs(1 << (attempts - 1).min(3));
        self.0.follow_up = Some(FollowUp { due_at: now + wait, attempts });
        self.0.follow_up
    }

    fn is_captured(&self) -> bool {
        self.payment.is_some_and(|payment| payment.status == PaymentStatus::Captured)
    }

    fn reject(&mut self, payment: Option<Payment>, reason: Reason, now: OffsetDateTime) -> Moved {
        self.0.payment = payment;
        self.0.reason = Some(reason);
        self.go(Status::Rejected, now);
        gone(Event::Rejected)
    }

    fn go(&mut self, to: Status, now: OffsetDateTime) {
        let state = &mut self.0;
        if to != Status::Pending {
            state.token = None;
        }
        state.status = to;
        state.version += 1;
        state.updated_at = now.max(state.updated_at);
        state.follow_up = to.is_under_way().then(|| FollowUp { due_at: now + SETTLE, attempts: 0 });
    }

    fn only_from(&self, allowed: &[Status], verb: &'static str) -> Result<(), Refused> {
        if allowed.contains(&self.status) { Ok(()) } else { Err(self.refuse(verb)) }
    }

    fn refuse(&self, verb: &'static str) -> Refused {
        Refused { from: self.status, verb }
    }
}

fn told(event: Event) -> Moved {
    Moved { event: Some(event), release_stock: false }
}

fn gone(event: Event) -> Moved {
    Moved { event: Some(event), release_stock: true }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
