//! Where an order and its payment stand, and why.

/// Where an order stands, with the two steps that are not shown outside.
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
    /// Not paid; stock given back.
    Rejected,
    /// A cancel was accepted; the payment is being voided.
    Cancelling,
    /// Cancelled; no money is held and stock was given back.
    Cancelled,
    /// A cancel was accepted after the goods left; the payment is being refunded.
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

    /// The name under which it is stored.
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

    /// The name that callers see.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Abandoning => Self::Pending.name(),
            Self::Fulfilling => Self::Confirmed.name(),
            other => other.name(),
        }
    }

    /// Whether the saga has a step to do.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Fulfilling | Self::Cancelling | Self::Refunding)
    }

    /// Whether closing the account has to wait for the order.
    pub fn keeps_account_open(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Confirmed | Self::Fulfilling | Self::Cancelling)
    }

    /// Whether closing the account cancels the order.
    pub fn closes_with_account(self) -> bool {
        matches!(self, Self::Pending | Self::Abandoning | Self::Confirmed)
    }

    /// Whether the order holds its quantities: they are neither in stock nor given back.
    pub fn holds_stock(self) -> bool {
        !matches!(self, Self::Rejected | Self::Cancelled)
    }
}

/// Why an order was not, or is no longer, wanted.
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

    /// The name that is stored and shown.
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

/// Where a payment stands, as far as order knows.
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

    /// The name that is stored and shown.
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
    fn names_lead_back() {
        for status in Status::ALL {
            assert_eq!(Status::named(status.name()), Some(status));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.name()), Some(reason));
        }
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::named(status.name()), Some(status));
        }
        assert_eq!(Status::named("lost"), None);
    }

    #[test]
    fn two_steps_are_not_shown() {
        assert_eq!(Status::Abandoning.shown(), "pending");
        assert_eq!(Status::Fulfilling.shown(), "confirmed");
        let shown = Status::ALL.map(Status::shown);
        assert_eq!(shown.iter().filter(|s| **s == "cancelled").count(), 1);
    }
}
