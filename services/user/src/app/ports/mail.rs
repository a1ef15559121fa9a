//! Mail, and the tokens that are sent by it.

use std::fmt;

use async_trait::async_trait;
use error::{HasProblem, Problem};
use time::OffsetDateTime;

use super::{Source, StoreError, TokenHash};
use crate::domain::{Email, MailPurpose, PasswordHash, UserId};

/// A mail that brings its reader a token. Its `Debug` shows neither address nor token.
pub struct Letter {
    /// Whose account it is about.
    pub user: UserId,
    /// Where it goes.
    pub to: Email,
    /// What the token is good for.
    pub purpose: MailPurpose,
    /// The token.
    pub token: String,
}

impl Letter {
    /// The subject.
    pub fn subject(&self) -> &'static str {
        match self.purpose {
            MailPurpose::VerifyEmail => "Confirm your address",
            MailPurpose::ResetPassword => "Set another password",
        }
    }

    /// What it says, in plain text.
    pub fn text(&self) -> String {
        let (what, time, otherwise) = match self.purpose {
            MailPurpose::VerifyEmail => (
                "confirm that this address is yours",
                "a day",
                "If you have no account with us, somebody has mistyped their address: do nothing.",
            ),
            MailPurpose::ResetPassword => (
                "set another password for your account",
                "30 minutes",
                "If you have not asked for this, do nothing: your password stays as it is.",
            ),
        };
        format!("With this code you {what}, once and within {time}:\n\n{}\n\n{otherwise}\n", self.token)
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("user", &self.user).field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server cannot be reached or will take it later; asking again may help.
    #[error("mail cannot be sent at the moment")]
    Unavailable(#[source] Source),
    /// The server does not take it, or it cannot be written.
    #[error("the mail was refused")]
    Refused(#[source] Source),
}

impl HasProblem for MailError {
    fn problem(&self) -> Problem {
        match self {
            Self::Unavailable(_) => Problem::Unavailable,
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
