//! The events of order that concern accounts, and those of accounts that concern copies of them.

use async_trait::async_trait;
use error::{HasKind as _, Kind};
use messaging::{Event, Failure, Handler, Receipt};
use serde::Deserialize;
use uuid::Uuid;

use crate::{app::App, domain::UserId};

/// The consumer group.
pub const GROUP: &str = "user";
/// What it listens to: what counts, and what ends an order that a closing may wait for.
pub const KINDS: &[&str] = &["order.confirmed.v1", "order.cancelled.v1", "order.rejected.v1"];

/// Whose order it is; the rest of the data is not for us.
#[derive(Deserialize)]
struct OrderData {
    user_id: Uuid,
}

/// Hands the events of order to the use cases.
pub struct OrderEvents {
    app: App,
}

impl OrderEvents {
    /// Hands them to `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for OrderEvents {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), Failure> {
        let data: OrderData = event.decode().map_err(|error| Failure::Permanent(error.into()))?;
        let user = UserId(data.user_id);
        let done = match event.kind.as_str() {
            "order.confirmed.v1" => self.app.count_order(user, receipt).await,
            // Only a hint to look again, which does no harm twice: it needs no receipt.
            _ => self.app.wake_closing(user).await,
        };
        done.map_err(|error| match error.kind() {
            Kind::NotFound => Failure::Permanent(error.into()),
            _ => Failure::Transient(error.into()),
        })
    }
}

/// The consumer group that looks after copies of accounts.
pub const COPIES: &str = "user-copies";
/// What makes a copy old.
pub const CHANGES: &[&str] = &["user.updated.v1", "user.closed.v1"];

/// Drops the copy of an account once more when its change is told: a process that was killed between its commit and
/// the cache leaves no old copy behind.
pub struct Copies {
    app: App,
}

impl Copies {
    /// Drops the copies of `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for Copies {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), Failure> {
        let user = Uuid::try_parse(&event.key).map_err(|error| Failure::Permanent(error.into()))?;
        self.app.forget(UserId(user)).await;
        Ok(())
    }
}
