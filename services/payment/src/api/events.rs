//! What payment hears: cancelled orders, whose money must not stay held.

use async_trait::async_trait;
use error::{HasKind as _, Kind};
use messaging::{Event, Failure, Handler, Receipt};
use uuid::Uuid;

use crate::{
    app::{self, Cashier},
    domain::OrderId,
};

/// The consumer group.
pub const GROUP: &str = "payment";

/// The events that are heard.
pub const KINDS: &[&str] = &["order.cancelled.v1"];

/// Voids what a cancelled order left authorized.
#[derive(Debug, Clone)]
pub struct CancelledOrders {
    cashier: Cashier,
}

impl CancelledOrders {
    /// Lets the cashier do it.
    pub fn new(cashier: Cashier) -> Self {
        Self { cashier }
    }
}

#[async_trait]
impl Handler for CancelledOrders {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), Failure> {
        let order: OrderId = Uuid::try_parse(&event.key).map_err(|error| Failure::Permanent(error.into()))?.into();
        match self.cashier.void(order, Some(receipt)).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(judge(failure)),
        }
    }
}

/// A cancelled order with captured money is against the rules: somebody has to look.
fn judge(failure: app::Failure) -> Failure {
    match failure.kind() {
        Kind::Unavailable | Kind::Timeout | Kind::Internal => Failure::Transient(failure.into()),
        _ => Failure::Permanent(failure.into()),
    }
}
