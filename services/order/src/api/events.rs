//! Events of the other services, and the service's own for its search.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Event, Handler, HandlerError, Receipt};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::{
        App, Error,
        index::Indexer,
        ports::{StoreError, search::SearchError},
    },
    domain::{
        event::{DomainEvent, ProductEvent},
        ids::{OrderId, ProductId, UserId},
        status::PaymentStatus,
    },
};

/// The consumer group, and the inbox's name for it.
pub const GROUP: &str = "order";

/// The events that are consumed.
pub const KINDS: &[&str] = &[
    "payment.authorized.v1",
    "payment.declined.v1",
    "payment.captured.v1",
    "payment.voided.v1",
    "payment.refunded.v1",
    USER_CLOSED,
    USER_DISABLED,
    USER_ENABLED,
];

const USER_CLOSED: &str = "user.closed.v1";
const USER_DISABLED: &str = "user.disabled.v1";
const USER_ENABLED: &str = "user.enabled.v1";

/// Handles events of the other services.
pub struct Events {
    app: Arc<App>,
}

impl Events {
    /// Handles events by these use cases.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// What is read of a `payment.*` event.
#[derive(Deserialize)]
struct PaymentEvent {
    order_id: Uuid,
}

/// What is read of `user.closed`.
#[derive(Deserialize)]
struct UserEvent {
    user_id: Uuid,
}

/// What is read of `user.disabled` and `user.enabled`.
#[derive(Deserialize)]
struct StandingEvent {
    user_id: Uuid,
    version: u64,
}

/// The status of the payment that a `payment.*` event tells of.
fn told(kind: &str) -> Option<PaymentStatus> {
    let name = kind.strip_prefix("payment.")?.strip_suffix(".v1")?;
    PaymentStatus::named(name)
}

#[async_trait]
impl Handler for Events {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        if event.kind == USER_CLOSED {
            let data: UserEvent = event.decode().map_err(unreadable)?;
            return self.close(UserId(data.user_id), receipt).await;
        }
        if [USER_DISABLED, USER_ENABLED].contains(&event.kind.as_str()) {
            let data: StandingEvent = event.decode().map_err(unreadable)?;
            return self.set_disabled(&data, event.kind == USER_DISABLED, receipt).await;
        }
        let Some(payment) = told(&event.kind) else {
            return Err(HandlerError::Permanent(anyhow::anyhow!("{} is not consumed here", event.kind)));
        };
        let data: PaymentEvent = event.decode().map_err(unreadable)?;
        let id = OrderId(data.order_id);
        // Where payment does not answer, the sweeper repeats the step: the event is done with either way.
        let known = self.app.hear_of_payment(id, payment, receipt).await.map_err(passing)?;
        if known.is_none() {
            tracing::warn!(order.id = %id, event = event.kind, "event for an unknown order");
        }
        Ok(())
    }
}

impl Events {
    async fn close(&self, user: UserId, receipt: Receipt) -> Result<(), HandlerError> {
        // Closing may be repeated, so its receipt need not be stored in the same write.
        self.app.close_account(user).await.map_err(passing)?;
        self.app.orders.record_receipt(receipt).await.map_err(|error| passing(error.into()))
    }
}

impl Events {
    async fn set_disabled(&self, data: &StandingEvent, disabled: bool, receipt: Receipt) -> Result<(), HandlerError> {
        // Its version says whether it is news, so its receipt need not be stored in the same write.
        let stored = self.app.accounts.set_disabled(UserId(data.user_id), data.version, disabled).await;
        stored.map_err(|error| passing(error.into()))?;
        self.app.orders.record_receipt(receipt).await.map_err(|error| passing(error.into()))
    }
}

/// The consumer group that keeps the indices of the search server.
pub const INDEX_GROUP: &str = "order-search";

/// What [`IndexEvents`] handles: what makes an indexed product or order old.
pub const INDEX_KINDS: &[&str] = &[
    ProductEvent::Created.kind(),
    ProductEvent::Updated.kind(),
    DomainEvent::Placed.kind(),
    DomainEvent::Confirmed.kind(),
    DomainEvent::Rejected.kind(),
    DomainEvent::Fulfilled.kind(),
    DomainEvent::Cancelled.kind(),
    DomainEvent::Refunded.kind(),
];

/// Indexes what an event tells of.
pub struct IndexEvents {
    indexer: Indexer,
}

impl IndexEvents {
    /// Indexes by these use cases.
    pub fn new(app: Arc<App>) -> Self {
        Self { indexer: Indexer::new(app) }
    }
}

/// What is read of an `order.*` event.
#[derive(Deserialize)]
struct OrderEvent {
    version: u64,
}

#[async_trait]
impl Handler for IndexEvents {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        // The key says it all: what is indexed is what is stored, and indexing it again changes nothing.
        let id = Uuid::try_parse(&event.key).map_err(|error| HandlerError::Permanent(error.into()))?;
        let indexed = if event.kind.starts_with("product.") {
            self.indexer.product(ProductId(id)).await
        } else {
            let OrderEvent { version } = event.decode().map_err(unreadable)?;
            self.indexer.order(OrderId(id), version).await
        };
        indexed.map_err(passing)
    }
}

fn unreadable(error: serde_json::Error) -> HandlerError {
    HandlerError::Permanent(anyhow::Error::new(error).context("the event's data does not fit its schema"))
}

fn passing(error: Error) -> HandlerError {
    match error {
        Error::Store(StoreError::Unavailable(_)) | Error::Search(SearchError::Unavailable(_)) => {
            HandlerError::unavailable(error)
        }
        error => HandlerError::transient(error),
    }
}
