//! Mail, the tokens that are sent by it, and the mails that are owed.

use std::fmt;

use async_trait::async_trait;
use error::{HasProblem, Problem};
use messaging::{Event, Receipt};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Source, StoreError, TokenHash};
use crate::domain::{Email, MailPurpose, Notification, PasswordHash, UserId};

/// A mail. Its `Debug` shows neither address nor token.
pub struct Letter {
    /// Names it for ever: sent again, it is the same mail, for who receives it too.
    pub id: Uuid,
    /// Whose account it is about.
    pub user: UserId,
    /// Where it goes.
    pub to: Email,
    /// What it says.
    pub content: Content,
}

/// What a mail says.
pub enum Content {
    /// Here is a token, and what it is good for.
    Token(MailPurpose, String),
    /// Something has happened.
    Notification(Notification),
}

impl Letter {
    /// Why it is sent, as logs and metrics name it.
    pub fn purpose(&self) -> &'static str {
        match &self.content {
            Content::Token(purpose, _) => purpose.as_str(),
            Content::Notification(notification) => notification.purpose(),
        }
    }

    /// The token that it brings.
    pub fn token(&self) -> Option<&str> {
        match &self.content {
            Content::Token(_, token) => Some(token),
            Content::Notification(_) => None,
        }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("user", &self.user).field("purpose", &self.purpose()).finish_non_exhaustive()
    }
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server cannot be reached or takes no mail of ours, whoever it is for; asking again may help.
    #[error("mail cannot be sent at the moment")]
    Unavailable(#[source] Source),
    /// The server takes mail, but this one only later.
    #[error("the mail is taken later")]
    Deferred(#[source] Source),
    /// The server never takes this one, or it cannot be written.
    #[error("the mail was refused")]
    Refused(#[source] Source),
}

impl HasProblem for MailError {
    fn problem(&self) -> Problem {
        match self {
            Self::Unavailable(_) | Self::Deferred(_) => Problem::Unavailable,
            Self::Refused(_) => Problem::Internal,
        }
    }
}

/// What sends mail.
#[async_trait]
pub trait Mails: Send + Sync {
    /// Sends one.
    async fn send(&self, letter: &Letter) -> Result<(), MailError>;
}

/// A token that is about to be sent.
#[derive(Debug)]
pub struct NewMailToken {
    /// Whose account it is for.
    pub user: UserId,
    /// The address that it is sent to.
    pub email: Email,
    /// What it is good for.
    pub purpose: MailPurpose,
    /// The token.
    pub hash: TokenHash,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Where the hashes of tokens are kept that were sent by mail, and what using them up changes.
///
/// Another address or password, and the closing of an account, end its tokens.
#[async_trait]
pub trait MailTokens: Send + Sync {
    /// Stores a token in place of an earlier one for the same purpose; `false` if the account is not active or has another
    /// address by now.
    async fn put(&self, token: &NewMailToken) -> Result<bool, StoreError>;
    /// Whether a token is valid now.
    async fn is_valid(&self, token: &TokenHash, purpose: MailPurpose, now: OffsetDateTime) -> Result<bool, StoreError>;
    /// Uses up a token: its account's address is verified. `false` if it is not valid.
    async fn verify_email(&self, token: &TokenHash, now: OffsetDateTime) -> Result<bool, StoreError>;
    /// Uses up a token: its account has another password and no session, and its address is verified. `false` if it is not
    /// valid.
    async fn reset_password(
        &self,
        token: &TokenHash,
        password: &PasswordHash,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError>;
    /// When the address that an account has was verified.
    async fn verified_at(&self, user: UserId) -> Result<Option<OffsetDateTime>, StoreError>;
    /// Deletes up to `limit` tokens that ended before `now`; says how many.
    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError>;
}

/// Where it is kept which mails are owed, and to what address, until they are sent. A mail is named by the task that sends it,
/// which is stored with it.
///
/// The address is the one that the account has when the mail is recorded: a closed account has none.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Records a mail to the owner of an account with its task, once per receipt. None to an account without an address.
    async fn record(&self, user: UserId, task: &Event, receipt: Receipt) -> Result<(), StoreError>;
    /// Notes that a mail is about to be sent, so that a store that cannot be written has none sent; says where it goes.
    /// `None` if it is not owed (any more).
    async fn begin(&self, task: Uuid) -> Result<Option<Email>, StoreError>;
    /// Notes that a mail was sent: it is not owed any more, and its address is deleted.
    async fn finish(&self, task: Uuid) -> Result<(), StoreError>;
    /// Deletes up to `limit` mails that were recorded before `then` and not sent; says how many.
    async fn prune(&self, then: OffsetDateTime, limit: u32) -> Result<u64, StoreError>;
}
