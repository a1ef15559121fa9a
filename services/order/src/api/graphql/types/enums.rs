//! States and reasons: the same names as in REST, in upper case.

use async_graphql::Enum;

use crate::{app::ports, domain::status};

/// The state of an order.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::graphql) enum OrderStatus {
    /// Placed; payment has not answered.
    Pending,
    /// The money is held.
    Confirmed,
    /// Not paid; the stock is released.
    Rejected,
    /// The goods have left and are paid for.
    Fulfilled,
    /// A cancel was accepted; the payment is being voided.
    Cancelling,
    /// No money is held and the stock is released.
    Cancelled,
    /// A cancel was accepted after the goods left; the payment is being refunded.
    Refunding,
    /// The payment was refunded.
    Refunded,
}

impl From<status::Status> for OrderStatus {
    fn from(status: status::Status) -> Self {
        match status {
            status::Status::Pending | status::Status::Abandoning => Self::Pending,
            status::Status::Confirmed | status::Status::Fulfilling => Self::Confirmed,
            status::Status::Rejected => Self::Rejected,
            status::Status::Fulfilled => Self::Fulfilled,
            status::Status::Cancelling => Self::Cancelling,
            status::Status::Cancelled => Self::Cancelled,
            status::Status::Refunding => Self::Refunding,
            status::Status::Refunded => Self::Refunded,
        }
    }
}

/// Why an order was rejected or cancelled.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "status::Reason")]
pub(in crate::api::graphql) enum Reason {
    PaymentDeclined,
    InsufficientFunds,
    PaymentUnavailable,
    CancelledByCustomer,
    CancelledByOperator,
    AccountClosed,
}

/// The state of a payment.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "status::PaymentStatus")]
pub(in crate::api::graphql) enum PaymentStatus {
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

/// The state of an account.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ports::AccountStatus")]
pub(in crate::api::graphql) enum AccountStatus {
    Active,
    /// Its owner may only read.
    Closing,
    /// Nothing personal is left.
    Closed,
}
