//! Events: what order says of its orders, and what this service says of its accounts, for the caches.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Event, Handler, HandlerError, Receipt};
use money::{Currency, Money};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    app::{App, Error, News, ports::StoreError},
    domain::{Notification, Order, UserId},
};

/// The consumer group of [`OrderEvents`].
pub const ORDER_GROUP: &str = "user";
/// What [`OrderEvents`] handles: what counts, what ends an order that a closing may wait for, and what
/// people are told of.
pub const ORDER_KINDS: &[&str] =
    &["order.confirmed.v1", "order.cancelled.v1", "order.rejected.v1", "order.refunded.v1"];

/// Whose order it is.
#[derive(Deserialize)]
struct OwnerData {
    user_id: Uuid,
}

/// What its owner is told of it; the rest of the data is not for us.
#[derive(Deserialize)]
struct OrderData {
    user_id: Uuid,
    order_id: Uuid,
    total: Total,
}

/// Money as it is in events, to which members may be added.
#[derive(Deserialize)]
struct Total {
    amount: i64,
    currency: Currency,
}

/// Hands the events of order to the use cases.
pub struct OrderEvents {
    app: Arc<App>,
}

impl OrderEvents {
    /// Hands them to `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for OrderEvents {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        let done = match event.kind.as_str() {
            "order.confirmed.v1" => self.app.count_order(&news(event, Notification::OrderConfirmed)?, receipt).await,
            "order.refunded.v1" => self.app.notify(&news(event, Notification::OrderRefunded)?, receipt).await,
            // Only a hint that the closing may go on. Order is asked again, so a hint too many does no harm and needs
            // no receipt; one that is lost costs the time until the closing is due by itself.
            _ => self.app.wake_closing(UserId(read::<OwnerData>(event)?.user_id)).await,
        };
        done.map_err(|error| match error {
            Error::Store(StoreError::Unavailable(_)) => HandlerError::unavailable(error),
            // Accounts are never deleted: one that is not here will not come.
            Error::NotFound => HandlerError::permanent(error),
            error => HandlerError::transient(error),
        })
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, HandlerError> {
    event.decode().map_err(|error| HandlerError::Permanent(error.into()))
}

/// What the owner of an order is told because of an event.
fn news(event: &Event, what: fn(Order) -> Notification) -> Result<News, HandlerError> {
    let OrderData { user_id, order_id, total } = read(event)?;
    let order = Order { id: order_id, total: Money::new(total.amount, total.currency) };
    Ok(News { user: UserId(user_id), what: what(order), event: event.id, at: event.time })
}

/// The consumer group of [`CacheInvalidator`].
pub const CACHE_GROUP: &str = "user-copies";
/// What [`CacheInvalidator`] handles: what makes a cached account old.
pub const CACHE_KINDS: &[&str] = &["user.updated.v1", "user.closed.v1", "user.disabled.v1", "user.enabled.v1"];

/// Drops an account from the cache once more when the event of its change comes: a process that was killed between its
/// commit and the cache leaves no old account in it.
pub struct CacheInvalidator {
    app: Arc<App>,
}

impl CacheInvalidator {
    /// Drops accounts from the cache of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for CacheInvalidator {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        // The key says it all: the data of an event that a later version publishes may be another.
        let user = Uuid::try_parse(&event.key).map_err(|error| HandlerError::Permanent(error.into()))?;
        self.app.invalidate_cached(UserId(user)).await;
        Ok(())
    }
}
