//! What happened to a payment that the ledger and other services have to know.

/// Why the provider declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclineReason {
    /// The card's issuer said no.
    Declined,
    /// There is not enough money.
    InsufficientFunds,
}

impl DeclineReason {
    /// Stable name, as stored and as published in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::InsufficientFunds => "insufficient_funds",
        }
    }
}

/// A change of a payment's status: published as an event, and booked in the ledger where money is held or moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainEvent {
    /// Money is held.
    Authorized,
    /// The provider declined the authorization.
    Declined(DeclineReason),
    /// The money that was held was taken.
    Captured,
    /// No money is held any more.
    Voided {
        /// Whether an authorization was booked before, which the ledger then has to reverse.
        held: bool,
    },
    /// The money that was taken was given back.
    Refunded,
}

impl DomainEvent {
    /// The type of the published event, with its version.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Authorized => "payment.authorized.v1",
            Self::Declined(_) => "payment.declined.v1",
            Self::Captured => "payment.captured.v1",
            Self::Voided { .. } => "payment.voided.v1",
            Self::Refunded => "payment.refunded.v1",
        }
    }
}
