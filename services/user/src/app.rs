//! The use cases, one a file, and the ports they need.

mod attempts;
mod audit;
pub mod cached_account;
mod change_password;
mod close_account;
mod contention;
mod count_order;
mod disable_user;
pub mod error;
mod get_user;
mod grant_role;
pub mod housekeeping;
pub mod key_ring;
mod log_in;
mod log_out;
pub mod mail_queue;
pub mod mail_text;
pub mod notify;
pub mod opaque_token;
pub mod ports;
pub mod published;
mod reauthenticate;
mod refresh;
mod register;
mod reset_password;
mod send_notification;
pub mod sweep;
pub mod tokens;
pub mod unreadable;
mod update_user;
mod verify_email;

use std::{sync::Arc, time::Duration};

use cache::Cache;
use clock::SharedClock;
use messaging::Outbox;
use tokio::sync::Notify;

use crate::domain::UserId;

pub use attempts::Attempts;
pub use audit::Audit;
pub use cached_account::CachedAccount;
pub use close_account::ClosingPolicy;
pub use error::Error;
pub use grant_role::grant_role;
pub use key_ring::KeyRing;
pub use log_in::SessionPolicy;
pub use mail_queue::MailQueue;
pub use mail_text::MailText;
pub use notify::News;
pub use reauthenticate::{Reauthentication, Requester};
pub use tokens::TokenPair;
pub use update_user::Expected;

use ports::{Accounts, AuditTrail, Closings, MailTokens, Mails, Notifications, Orders, Passwords, Sessions};

/// What the use cases work with.
pub struct App {
    /// Where accounts are kept.
    pub accounts: Arc<dyn Accounts>,
    /// Where the closing of accounts is kept until it is finished.
    pub closings: Arc<dyn Closings>,
    /// Where sessions are kept.
    pub sessions: Arc<dyn Sessions>,
    /// Where it is kept what operators did.
    pub audit_trail: Arc<dyn AuditTrail>,
    /// Where tokens are kept that were sent by mail.
    pub mail_tokens: Arc<dyn MailTokens>,
    /// Where mails are kept that are owed.
    pub notifications: Arc<dyn Notifications>,
    /// Whether people are told by mail of what has happened.
    pub notifies: bool,
    /// What sends mail.
    pub mails: Arc<dyn Mails>,
    /// Mail that waits to be sent.
    pub mail_queue: MailQueue,
    /// Events that wait to be published.
    pub outbox: Arc<dyn Outbox>,
    /// What counts attempts to log in, and mails.
    pub attempts: Attempts,
    /// What hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// The service that owns orders.
    pub orders: Arc<dyn Orders>,
    /// What signs access tokens.
    pub keys: Arc<KeyRing>,
    /// Cached accounts.
    pub cache: Cache<UserId, CachedAccount>,
    /// The time.
    pub clock: SharedClock,
    /// How long sessions and their tokens live.
    pub session: SessionPolicy,
    /// When order is asked about closing accounts.
    pub closing: ClosingPolicy,
    /// Wakes the sweeper before its next poll.
    pub closing_due: Notify,
}

impl App {
    fn now(&self) -> time::OffsetDateTime {
        self.clock.now()
    }
}

/// A span of time as the crate `time` has it. Longer ones than it can hold become its longest.
pub(crate) fn time_duration(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}
