//! The use cases, one a file, and the ports they need.

mod audit;
mod close_account;
mod count_order;
pub mod error;
mod get_user;
mod grant_role;
pub mod key_ring;
mod log_in;
mod log_out;
pub mod ports;
pub mod profile;
mod refresh;
mod register;
pub mod secret;
mod settle_closings;
pub mod tokens;
mod update_user;
mod upkeep;

use std::{sync::Arc, time::Duration};

use cache::Cache;
use clock::SharedClock;
use messaging::{Effects, Event, Outbox};
use tokio::sync::Notify;

use crate::domain::{Fact, UserId};

pub use audit::Audit;
pub use close_account::ClosingPolicy;
pub use error::Error;
pub use grant_role::grant_role;
pub use key_ring::KeyRing;
pub use log_in::SessionPolicy;
pub use profile::Profile;
pub use tokens::Grant;
pub use update_user::Expected;

use ports::{Accounts, Orders, Passwords, Sessions};

/// What the events of this service say they come from.
pub const SOURCE: &str = "user";

/// What the use cases work with.
pub struct Parts {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Where sessions are kept.
    pub sessions: Arc<dyn Sessions>,
    /// Events that wait to be published.
    pub outbox: Arc<dyn Outbox>,
    /// What hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// The service that owns orders.
    pub orders: Arc<dyn Orders>,
    /// What signs access tokens.
    pub keys: Arc<KeyRing>,
    /// Copies of accounts.
    pub cache: Cache<UserId, Profile>,
    /// The time.
    pub clock: SharedClock,
    /// How long sessions and their tokens live.
    pub session: SessionPolicy,
    /// When order is asked about closing accounts.
    pub closing: ClosingPolicy,
}

/// The use cases.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
    closings_due: Arc<Notify>,
}

impl App {
    /// Puts the use cases on their ports.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), closings_due: Arc::new(Notify::new()) }
    }

    /// The keys that sign access tokens.
    pub fn keys(&self) -> &Arc<KeyRing> {
        &self.parts.keys
    }

    fn now(&self) -> time::OffsetDateTime {
        self.parts.clock.now()
    }

    fn effects(&self, fact: Fact, user: UserId) -> Result<Effects, Error> {
        let data = serde_json::json!({ "user_id": user.to_string() });
        let event = Event::new(fact.kind(), SOURCE, user, self.now(), data).map_err(Error::broken)?;
        Ok(Effects::of(vec![event]))
    }
}

/// `time` as the standard library has it; never negative.
pub(crate) fn span(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}
