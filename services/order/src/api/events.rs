//! Events of the other services.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use messaging::{Event, Failure, Handler, Receipt};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::{App, Error},
    domain::ids::{OrderId, UserId},
};

/// The consumer group, and the inbox's name for it.
pub const GROUP: &str = "order";

/// What we listen to.
pub const KINDS: &[&str] = &[
    "payment.authorized.v1",
    "payment.declined.v1",
    "payment.captured.v1",
    "payment.voided.v1",
    "payment.refunded.v1",
    USER_CLOSED,
];

const USER_CLOSED: &str = "user.closed.v1";

/// Handles events.
pub struct Events {
    app: Arc<App>,
}

impl Events {
    /// Hands what the events call for to these use cases.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// What we need of a `payment.*` event.
#[derive(Deserialize)]
struct OfOrder {
    order_id: Uuid,
}

/// What we need of a `user.*` event.
#[derive(Deserialize)]
struct OfUser {
    user_id: Uuid,
}

#[async_trait]
impl Handler for Events {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), Failure> {
        if event.kind == USER_CLOSED {
            let data: OfUser = event.decode().map_err(unreadable)?;
            return self.close(UserId(data.user_id), receipt).await;
        }
        if !KINDS.contains(&event.kind.as_str()) {
            return Err(Failure::Permanent(anyhow::anyhow!("{} is not for us", event.kind)));
        }
        let data: OfOrder = event.decode().map_err(unreadable)?;
        let id = OrderId(data.order_id);
        // An order that waits for payment is the sweeper's: the event has done its part.
        let advanced = self.app.advance(id, Some(receipt)).await.map_err(transient)?;
        if advanced.is_none() {
            tracing::warn!(order.id = %id, event = event.kind, "an event for an order that is not here");
        }
        Ok(())
    }
}

impl Events {
    async fn close(&self, user: UserId, receipt: Receipt) -> Result<(), Failure> {
        self.app.close_account(user).await.map_err(transient)?;
        self.app.orders.note(receipt).await.context("cannot record the receipt").map_err(Failure::Transient)
    }
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::Permanent(anyhow::Error::new(error).context("the event's data does not fit its schema"))
}

fn transient(error: Error) -> Failure {
    Failure::Transient(error.into())
}
