//! What the owner of an account is told by mail because something happened.

use money::Money;
use uuid::Uuid;

/// Something that the owner of an account is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// The payment of an order is certain.
    OrderConfirmed(Order),
    /// What was paid for an order is given back.
    OrderRefunded(Order),
    /// The account is closed for good.
    AccountClosed,
}

/// An order, as far as its owner is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// What it costs.
    pub total: Money,
}

impl Notification {
    /// Its name in logs and metrics.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::OrderConfirmed(_) => "order_confirmed",
            Self::OrderRefunded(_) => "order_refunded",
            Self::AccountClosed => "account_closed",
        }
    }
}
