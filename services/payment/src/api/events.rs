//! The events that payment consumes: cancelled orders, whose money must not stay held.

use std::sync::Arc;

use async_trait::async_trait;
use error::{HasProblem as _, Kind};
use messaging::{Event, Handler, HandlerError, Receipt};
use uuid::Uuid;

use crate::{
    app::{App, Error},
    domain::OrderId,
};

/// The consumer group.
pub const GROUP: &str = "payment";

/// The types of the events that are consumed.
pub const KINDS: &[&str] = &["order.cancelled.v1"];

/// Voids the payments of cancelled orders.
#[derive(Debug, Clone)]
pub struct CancelledOrders {
    app: Arc<App>,
}

impl CancelledOrders {
    /// Makes the handler.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for CancelledOrders {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        let order: OrderId = Uuid::try_parse(&event.key).map_err(|error| HandlerError::Permanent(error.into()))?.into();
        match self.app.void(order, Some(receipt)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(handler_error(error)),
        }
    }
}

/// Whether another attempt may help, and whether any event can be handled at all.
///
/// A cancelled order whose money was captured is against the rules: the event becomes a dead letter, for a person.
fn handler_error(error: Error) -> HandlerError {
    match error.kind() {
        _ if error.is_outage() => HandlerError::unavailable(error),
        Kind::Unavailable | Kind::Timeout | Kind::Internal => HandlerError::transient(error),
        _ => HandlerError::permanent(error),
    }
}
