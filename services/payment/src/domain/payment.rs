//! The payment of one order: a state machine that stores an intent before each call of the provider.
//!
//! ```text
//! pending -> authorized -> captured -> refunded
//!    |  \         |
//!    |   \        +-> voided
//!    |    +-> voided (the authorization was revoked)
//!    +-> declined
//! ```
//!
//! The intent is what makes a crash harmless: whoever reads the payment next sees which call may have been made, and
//! finds out its outcome under the same idempotency key before anything else is done.

use money::Money;
use time::OffsetDateTime;

use super::{
    event::{DeclineReason, DomainEvent},
    ids::{ChargeReference, OrderId, PaymentId, PaymentToken, UserId},
};

/// What the provider is asked to do; each at most once per order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Hold the money.
    Authorize,
    /// Take the money that is held.
    Capture,
    /// Release the money that is held.
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

/// The stored status of a payment.
///
/// The provider may be ahead of it: after a call whose answer was lost, or one that was made elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The provider's answer to the authorization is not stored yet.
    Pending,
    /// Money is held.
    Authorized,
    /// The provider declined the authorization. Final.
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
    /// Done, on this charge.
    Approved(ChargeReference),
    /// An authorization was declined.
    Declined(DeclineReason),
    /// The state of the charge at the provider does not allow it; nothing was done.
    Conflict,
    /// Nothing was done, and nothing ever will be.
    Revoked,
}

/// The state of a charge at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChargeState {
    /// The money is held.
    Authorized,
    /// The money was taken.
    Captured,
    /// The hold was released.
    Voided,
    /// The money was given back.
    Refunded,
    /// One that this version does not know: nothing is done to the charge, and it is named.
    Unknown,
}

impl ChargeState {
    /// Stable name, as a provider says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it holds money of the customer's, or has taken it, for all that is known.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Authorized | Self::Captured | Self::Unknown)
    }
}

/// A charge as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The provider's reference of it.
    pub reference: ChargeReference,
    /// The order that it was made for.
    pub order_id: OrderId,
    /// How much; `None` in a currency that this version does not know.
    pub amount: Option<Money>,
    /// Its state.
    pub state: ChargeState,
}

/// What has to be done next to carry out an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing: it was done before, or there is nothing to do it to.
    Done,
    /// An earlier intent has no stored outcome: find out the outcome first.
    ResolveIntent(Operation),
    /// Store the intent, then call the provider.
    Start,
}

/// An operation that the payment's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The operation does not fit the status.
    #[error("cannot {} a payment that is {}", operation.name(), status.name())]
    Status {
        /// The operation that was asked for.
        operation: Operation,
        /// The payment's status.
        status: Status,
    },
    /// The order was closed before its payment was made.
    #[error("the order was voided before a payment was authorized")]
    Closed,
    /// The state of the charge at the provider does not allow it.
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
    /// Its stored status.
    pub status: Status,
    /// The operation whose outcome is not stored yet.
    pub intent: Option<Operation>,
    /// What it is paid with; removed as soon as the provider has answered.
    pub token: Option<PaymentToken>,
    /// The provider's reference of the charge, once authorized.
    pub reference: Option<ChargeReference>,
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
    pub fn next_step(&self, operation: Operation) -> Result<NextStep, Refusal> {
        use Status::{Authorized, Captured, Declined, Pending, Refunded, Voided};
        // What was begun comes first, whatever is asked now: until its outcome is known, nobody can say which status
        // the answer would have to be based on.
        if let Some(open) = self.intent {
            return Ok(NextStep::ResolveIntent(open));
        }
        let refusal = Refusal::Status { operation, status: self.status };
        match (operation, self.status) {
            (Operation::Authorize, Pending)
            | (Operation::Capture | Operation::Void, Authorized)
            | (Operation::Refund, Captured) => Ok(NextStep::Start),
            (Operation::Authorize, _)
            | (Operation::Capture, Captured | Refunded)
            | (Operation::Void, Voided | Declined(_))
            | (Operation::Refund, Refunded) => Ok(NextStep::Done),
            (Operation::Capture, Pending | Declined(_) | Voided)
            | (Operation::Void, Pending | Captured | Refunded)
            | (Operation::Refund, Pending | Authorized | Declined(_) | Voided) => Err(refusal),
        }
    }

    /// Sets the intent to do `operation`, to be stored before the provider is called.
    ///
    /// # Errors
    /// The status does not allow it, or another intent has no outcome yet.
    pub fn set_intent(&mut self, operation: Operation, now: OffsetDateTime) -> Result<(), Refusal> {
        if self.next_step(operation)? != NextStep::Start {
            return Err(Refusal::Status { operation, status: self.status });
        }
        self.intent = Some(operation);
        self.bump_version(now);
        Ok(())
    }

    /// Ends the open intent with the provider's outcome; `None` when the status stays as it is.
    pub fn resolve_intent(&mut self, outcome: &Outcome, now: OffsetDateTime) -> Option<DomainEvent> {
        use Operation::{Authorize, Capture, Refund, Void};
        let operation = self.intent.take()?;
        let event = match (operation, outcome) {
            (Authorize, Outcome::Approved(reference)) => {
                self.reference = Some(reference.clone());
                Some(self.enter(Status::Authorized, DomainEvent::Authorized))
            }
            (Authorize, Outcome::Declined(reason)) => {
                Some(self.enter(Status::Declined(*reason), DomainEvent::Declined(*reason)))
            }
            // Nothing was authorized and nothing can be: a pending payment without an intent would have no way out.
            (Authorize, Outcome::Conflict | Outcome::Revoked) => {
                Some(self.enter(Status::Voided, DomainEvent::Voided { held: false }))
            }
            (Capture, Outcome::Approved(_)) => Some(self.enter(Status::Captured, DomainEvent::Captured)),
            (Void, Outcome::Approved(_)) => Some(self.enter(Status::Voided, DomainEvent::Voided { held: true })),
            (Refund, Outcome::Approved(_)) => Some(self.enter(Status::Refunded, DomainEvent::Refunded)),
            // The provider did nothing, so the status is as true as before; where the charge is in another state than
            // we thought, `follow_charge` brings us in line.
            (_, Outcome::Declined(_) | Outcome::Conflict | Outcome::Revoked) => None,
        };
        self.bump_version(now);
        event
    }

    /// Follows the charge one transition where the provider is ahead of us; `None` when it is not.
    ///
    /// One transition at a time, so that each is booked and published: a charge that was captured and refunded
    /// elsewhere needs both entries for the ledger to balance. Never backwards: a provider that shows an older state
    /// only answers late.
    pub fn follow_charge(&mut self, charge: ChargeState, now: OffsetDateTime) -> Option<DomainEvent> {
        // With an intent open, the difference may be the outcome of our own call, which is stored by its intent.
        if self.intent.is_some() {
            return None;
        }
        let event = match (self.status, charge) {
            (Status::Authorized, ChargeState::Captured | ChargeState::Refunded) => {
                self.enter(Status::Captured, DomainEvent::Captured)
            }
            (Status::Authorized, ChargeState::Voided) => self.enter(Status::Voided, DomainEvent::Voided { held: true }),
            (Status::Captured, ChargeState::Refunded) => self.enter(Status::Refunded, DomainEvent::Refunded),
            _ => return None,
        };
        self.bump_version(now);
        Some(event)
    }

    /// Changes the status. The token goes with the first change: it is of use for the authorization only, and a secret.
    fn enter(&mut self, status: Status, event: DomainEvent) -> DomainEvent {
        self.status = status;
        self.token = None;
        event
    }

    fn bump_version(&mut self, now: OffsetDateTime) {
        self.version += 1;
        self.updated_at = now;
    }
}

#[cfg(test)]
mod tests;
