//! Events: what order says of its orders, and what this service says of its accounts, for the caches.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Event, Handler, HandlerError, Receipt};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    app::{App, Error, ports::StoreError},
    domain::UserId,
};

/// The consumer group of [`OrderEvents`].
pub const ORDER_GROUP: &str = "user";
/// What [`OrderEvents`] handles: what counts, and what ends an order that a closing may wait for.
pub const ORDER_KINDS: &[&str] = &["order.confirmed.v1", "order.cancelled.v1", "order.rejected.v1"];

/// Whose order it is; the rest of the data is not for us.
#[derive(Deserialize)]
struct OrderData {
    user_id: Uuid,
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
        let data: OrderData = event.decode().map_err(|error| HandlerError::Permanent(error.into()))?;
        let user = UserId(data.user_id);
        let done = match event.kind.as_str() {
            "order.confirmed.v1" => self.app.count_order(user, receipt).await,
            // Only a hint that the closing may go on. Order is asked again, so a hint too many does no harm and needs
            // no receipt; one that is lost costs the time until the closing is due by itself.
            _ => self.app.wake_closing(user).await,
        };
        done.map_err(|error| match error {
            Error::Store(StoreError::Unavailable(_)) => HandlerError::unavailable(error),
            // Accounts are never deleted: one that is not here will not come.
            Error::NotFound => HandlerError::permanent(error),
            error => HandlerError::transient(error),
        })
    }
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
