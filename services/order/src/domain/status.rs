//! The states of an order and of its payment, and the reasons for them.

/// The state of an order. Two of them are internal and shown as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Placed; payment has not answered.
    Pending,
    /// Payment did not answer in time: the payment is being voided so that the
    /// order can be rejected. Shown as `pending`.
    Abandoning,
    /// The payment is authorized.
    Confirmed,
    /// The goods leave and the payment is being captured. From here on a cancel
    /// is a refund. Shown as `confirmed`.
    Fulfilling,
    /// The goods have left and are paid for.
    Fulfilled,
    /// Not paid; the stock is released.
    Rejected,
    /// A cancel was accepted; the payment is being voided.
    Cancelling,
    /// Cancelled; no money is held and the stock is released.
    Cancelled,
    /// A cancel was accepted after the goods left, or what was to be voided had been captured; the payment is being refunded.
    Refunding,
    /// The payment was refunded.
    Refunded,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Abandoning,
        Self::Confirmed,
        Self::Fulfilling,
        Self::Fulfilled,
        Self::Rejected,
        Self::Cancelling,
        Self::Cancelled,
        Self::Refunding,
        Self::Refunded,
    ];

    /// The name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Abandoning => "abandoning",
            Self::Confirmed => "confirmed",
            Self::Fulfilling => "fulfilling",
            Self::Fulfilled => "fulfilled",
            Self::Rejected => "rejected",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// The status with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The name in the API, where internal states are not shown.
    pub fn public_name(self) -> &'static str {
        match self {
            Self::Abandoning => Self::Pending.name(),
            Self::Fulfilling => Self::Confirmed.name(),
            other => other.name(),
        }
    }

    /// Whether the saga has a step to do.
    pub fn is_in_progress(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Fulfilling | Self::Cancelling | Self::Refunding)
    }

    /// Whether the account cannot be closed while the order has this status.
    pub fn blocks_account_closing(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Confirmed | Self::Fulfilling | Self::Cancelling)
    }

    /// Whether closing the account cancels an order with this status.
    pub fn is_cancelled_with_account(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Confirmed)
    }

    /// Whether the order was ever confirmed; `None` where the status does not tell.
    pub fn was_confirmed(self) -> Option<bool> {
        match self {
            Self::Pending | Self::Abandoning | Self::Rejected => Some(false),
            Self::Confirmed | Self::Fulfilling | Self::Fulfilled | Self::Refunding | Self::Refunded => Some(true),
            Self::Cancelling | Self::Cancelled => None,
        }
    }

    /// Whether the order holds the stock that was reserved for it.
    pub fn holds_stock(self) -> bool {
        !matches!(self, Self::Rejected | Self::Cancelled)
    }
}

/// Why an order was rejected or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The provider declined, or did not know the payment token.
    PaymentDeclined,
    /// The provider declined for want of money.
    InsufficientFunds,
    /// Payment did not answer in time.
    PaymentUnavailable,
    /// The customer cancelled.
    CancelledByCustomer,
    /// An operator cancelled.
    CancelledByOperator,
    /// The account was closed.
    AccountClosed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::PaymentDeclined,
        Self::InsufficientFunds,
        Self::PaymentUnavailable,
        Self::CancelledByCustomer,
        Self::CancelledByOperator,
        Self::AccountClosed,
    ];

    /// The name in the store and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::PaymentDeclined => "payment_declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::PaymentUnavailable => "payment_unavailable",
            Self::CancelledByCustomer => "cancelled_by_customer",
            Self::CancelledByOperator => "cancelled_by_operator",
            Self::AccountClosed => "account_closed",
        }
    }

    /// The reason with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// The state of a payment, as far as this service knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// The money is held.
    Authorized,
    /// The money was taken.
    Captured,
    /// The money is held no longer, or never will be.
    Voided,
    /// The money was given back.
    Refunded,
    /// The provider declined.
    Declined,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Authorized, Self::Captured, Self::Voided, Self::Refunded, Self::Declined];

    /// The name in the store and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
            Self::Declined => "declined",
        }
    }

    /// The status with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::named(status.name()), Some(status));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.name()), Some(reason));
        }
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::named(status.name()), Some(status));
        }
        assert_eq!(Status::named("unknown"), None);
    }

    #[test]
    fn two_states_are_internal() {
        assert_eq!(Status::Abandoning.public_name(), "pending");
        assert_eq!(Status::Fulfilling.public_name(), "confirmed");
        let shown = Status::ALL.map(Status::public_name);
        assert_eq!(shown.iter().filter(|s| **s == "cancelled").count(), 1);
    }
}
