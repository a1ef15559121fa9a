//! The events of orders and products that others are told of.

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

/// What happened to a product; the product itself holds the details. Sales and restocking are no events of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductEvent {
    /// It came into the catalogue.
    Created,
    /// Its name, description or price changed.
    Updated,
}

impl ProductEvent {
    /// The event's type on the bus, with its version.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Created => "product.created.v1",
            Self::Updated => "product.updated.v1",
        }
    }
}
