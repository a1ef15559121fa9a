//! The payment of one order: a state machine whose every step with the provider is an intent first.
//!
//! ```text
//! pending -> authorized -> captured -> refunded
//!    |  \         |
//!    |   \        +-> voided
//!    |    +-> voided (the provider was never reached)
//!    +-> declined
//! ```

use money::Money;
use time::OffsetDateTime;

use super::ids::{OrderId, PaymentId, PaymentToken, Reference, UserId};

/// What the provider is asked to do; each at most once per order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Hold the money.
    Authorize,
    /// Take the money that is held.
    Capture,
    /// Let go of the money that is held.
    Void,
    /// Give back the money that was taken.
    Refund,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Authorize, Self::Capture, Self::Void, Self::Refund];

    /// Stable name, as stored and as used in idempotency keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

/// Why the provider declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclineReason {
    /// The card's issuer said no.
    Declined,
    /// There is not enough money.
    InsufficientFunds,
}

impl DeclineReason {
    /// Stable name, as stored and as told in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::InsufficientFunds => "insufficient_funds",
        }
    }
}

/// Where a payment stands, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The provider's answer to the authorization is not stored yet.
    Pending,
    /// Money is held.
    Authorized,
    /// The provider said no. Final.
    Declined(DeclineReason),
    /// Money was taken.
    Captured,
    /// No money is held, and none ever will be. Final.
    Voided,
    /// Money was given back. Final.
    Refunded,
}

impl Status {
    /// Stable name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Declined(_) => "declined",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }
}

/// The provider's answer to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Approved(Reference),
    /// Said no to an authorization.
    Declined(DeclineReason),
    /// The charge is not in a state for it at the provider; nothing was done.
    Conflict,
}

/// Where a charge stands at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChargeState {
    /// Holds money.
    Authorized,
    /// Took money.
    Captured,
    /// Let the money go.
    Voided,
    /// Gave the money back.
    Refunded,
}

/// What happened to a payment: told as an event, booked in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Money is held.
    Authorized,
    /// The provider said no.
    Declined(DeclineReason),
    /// Money was taken.
    Captured,
    /// No money is held any more; `held` says whether any was.
    Voided {
        /// Whether an authorization was booked before.
        held: bool,
    },
    /// Money was given back.
    Refunded,
}

/// What has to be done next to carry out an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is done, or needless.
    Done,
    /// An earlier intent has no outcome: find it out first.
    Settle(Operation),
    /// Store the intent and ask the provider.
    Start,
}

/// An operation that the payment's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The operation does not fit the status.
    #[error("cannot {} a payment that is {}", operation.name(), status.name())]
    Status {
        /// What was asked.
        operation: Operation,
        /// Where the payment stands.
        status: Status,
    },
    /// The order was closed before its payment was made.
    #[error("the order was voided before a payment was authorized")]
    Closed,
    /// The provider has the charge in another state and refuses.
    #[error("the payment provider refuses to {}", .0.name())]
    Provider(Operation),
}

/// The payment of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its own id.
    pub id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// Who pays.
    pub user_id: UserId,
    /// How much; more than zero.
    pub amount: Money,
    /// Where it stands.
    pub status: Status,
    /// The operation whose outcome is not stored yet.
    pub intent: Option<Operation>,
    /// What it is paid with; forgotten as soon as the provider has answered.
    pub token: Option<PaymentToken>,
    /// The provider's name for the charge, once authorized.
    pub reference: Option<Reference>,
    /// Rises by one with each verb that changes the payment.
    pub version: u64,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl Payment {
    /// Opens the payment of an order with the intent to authorize it.
    pub fn open(
        (id, order_id, user_id): (PaymentId, OrderId, UserId),
        amount: Money,
        token: PaymentToken,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            order_id,
            user_id,
            amount,
            status: Status::Pending,
            intent: Some(Operation::Authorize),
            token: Some(token),
            reference: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Says what has to be done next to carry out `operation`.
    ///
    /// # Errors
    /// The status does not allow it.
    pub fn next(&self, operation: Operation) -> Result<Next, Refusal> {
        use Status::{Authorized, Captured, Declined, Pending, Refunded, Voided};
        if let Some(open) = self.intent {
            return Ok(Next::Settle(open));
        }
        let refusal = Refusal::Status { operation, status: self.status };
        match (operation, self.status) {
            (Operation::Authorize, Pending)
            | (Operation::Capture | Operation::Void, Authorized)
            | (Operation::Refund, Captured) => Ok(Next::Start),
            (Operation::Authorize, _)
            | (Operation::Capture, Captured | Refunded)
            | (Operation::Void, Voided | Declined(_))
            | (Operation::Refund, Refunded) => Ok(Next::Done),
            (Operation::Capture, Pending | Declined(_) | Voided)
            | (Operation::Void, Pending | Captured | Refunded)
            | (Operation::Refund, Pending | Authorized | Declined(_) | Voided) => Err(refusal),
        }
    }

    /// Stores the intent to do `operation`, before the provider is asked.
    ///
    /// # Errors
    /// The status does not allow it, or another intent has no outcome yet.
    pub fn intend(&mut self, operation: Operation, now: OffsetDateTime) -> Result<(), Refusal> {
        if self.next(operation)? != Next::Start {
            return Err(Refusal::Status { operation, status: self.status });
        }
        self.intent = Some(operation);
        self.touch(now);
        Ok(())
    }

    /// Ends the open intent with the provider's answer; `None` when nothing came of it.
    pub fn settle(&mut self, outcome: &Outcome, now: OffsetDateTime) -> Option<Fact> {
        let operation = self.intent.take()?;
        let fact = match (operation, outcome) {
            (Operation::Authorize, Outcome::Approved(reference)) => {
                self.reference = Some(reference.clone());
                Some(self.reach(Status::Authorized, Fact::Authorized))
            }
            (Operation::Authorize, Outcome::Declined(reason)) => {
                Some(self.reach(Status::Declined(*reason), Fact::Declined(*reason)))
            }
            (Operation::Authorize, Outcome::Conflict) => Some(self.reach(Status::Voided, Fact::Voided { held: false })),
            (Operation::Capture, Outcome::Approved(_)) => Some(self.reach(Status::Captured, Fact::Captured)),
            (Operation::Void, Outcome::Approved(_)) => Some(self.reach(Status::Voided, Fact::Voided { held: true })),
            (Operation::Refund, Outcome::Approved(_)) => Some(self.reach(Status::Refunded, Fact::Refunded)),
            (_, Outcome::Declined(_) | Outcome::Conflict) => None,
        };
        self.touch(now);
        fact
    }

    /// Gives up an authorization that the provider has no trace of; `None` in any other state.
    pub fn abandon(&mut self, now: OffsetDateTime) -> Option<Fact> {
        if (self.status, self.intent) != (Status::Pending, Some(Operation::Authorize)) {
            return None;
        }
        self.intent = None;
        let fact = self.reach(Status::Voided, Fact::Voided { held: false });
        self.touch(now);
        Some(fact)
    }

    /// Follows the provider one step where it is ahead of us; `None` when it is not.
    pub fn follow(&mut self, charge: ChargeState, now: OffsetDateTime) -> Option<Fact> {
        if self.intent.is_some() {
            return None;
        }
        let fact = match (self.status, charge) {
            (Status::Authorized, ChargeState::Captured | ChargeState::Refunded) => {
                self.reach(Status::Captured, Fact::Captured)
            }
            (Status::Authorized, ChargeState::Voided) => self.reach(Status::Voided, Fact::Voided { held: true }),
            (Status::Captured, ChargeState::Refunded) => self.reach(Status::Refunded, Fact::Refunded),
            _ => return None,
        };
        self.touch(now);
        Some(fact)
    }

    fn reach(&mut self, status: Status, fact: Fact) -> Fact {
        self.status = status;
        self.token = None;
        fact
    }

    fn touch(&mut self, now: OffsetDateTime) {
        self.version += 1;
        self.updated_at = now;
    }
}

#[cfg(test)]
mod tests;
