//! The events of an order that other services are told of.

/// What happened to an order; the order itself holds the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainEvent {
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

impl DomainEvent {
    /// The event's type on the bus, with its version.
    pub const fn kind(self) -> &'static str {
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
