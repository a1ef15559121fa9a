//! What happened to an order that others want to know.

/// What happened; the order itself says the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Stock is reserved and the order stored.
    Placed,
    /// The payment is authorized.
    Confirmed,
    /// The order was not paid.
    Rejected,
    /// The goods have left and are paid for.
    Fulfilled,
    /// The order was cancelled and no money is held.
    Cancelled,
    /// The order was refunded.
    Refunded,
}

impl Event {
    /// The type of the event outside, with its version.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Placed => "order.placed.v1",
            Self::Confirmed => "order.confirmed.v1",
            Self::Rejected => "order.rejected.v1",
            Self::Fulfilled => "order.fulfilled.v1",
            Self::Cancelled => "order.cancelled.v1",
            Self::Refunded => "order.refunded.v1",
        }
    }
}
