//! Why a use case did not do what it was asked to.

use std::{error::Error as StdError, time::Duration};

use error::{HasProblem, Problem, Violation};

use super::ports::{MailError, PasswordError, StoreError};
use crate::domain::NotActive;

/// Why a use case refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has this id, or it is not the caller's to see.
    #[error("no such user")]
    NotFound,
    /// The account has no session with this id.
    #[error("no such session")]
    NoSession,
    /// Somebody has this e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Wrong password, unknown, closing or closed account: all with the same text, so that nobody learns which.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// A change needs the current password, and the request has none.
    #[error("this needs the current password")]
    PasswordMissing,
    /// The current password is another one.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The password of this account was tried too often, or too many were tried from this address; or too many mails were
    /// asked for.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When one more may be made.
        retry_after: Duration,
    },
    /// The token from a mail is unknown, used or too old, or its account has changed since.
    #[error("the token is not valid")]
    WrongMailToken,
    /// As many mails wait to be sent as may.
    #[error("too many mails wait to be sent")]
    MailQueueFull,
    /// A mail was not sent.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// A task says something that nobody here knows.
    #[error("the task cannot be read")]
    UnreadableTask(#[source] serde_json::Error),
    /// The refresh token is unknown, expired, used or revoked, or its account is closing.
    #[error("the refresh token is not valid")]
    WrongRefreshToken,
    /// The account that the token speaks for is not there.
    #[error("the access token's account does not exist")]
    NoAccount,
    /// Whoever acts as an operator is none any more, or has been disabled.
    #[error("only an operator whose account is active may do this")]
    NoOperator,
    /// An operator cannot be kept out, or let in, by themselves.
    #[error("operators do not disable or enable their own accounts")]
    OwnAccount,
    /// The account changed since the caller read it.
    #[error("the version is not the one the change was made on")]
    Stale,
    /// The account was changed again and again while this change was tried.
    #[error("others change this account at the same time")]
    Contended,
    /// The account takes no changes any more.
    #[error(transparent)]
    NotActive(#[from] NotActive),
    /// There is no key that signs access tokens now.
    #[error("no key signs access tokens now")]
    NoSigningKey,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password was not hashed or verified.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Something that cannot happen did.
    #[error("internal error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Something that cannot happen did.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl HasProblem for Error {
    fn problem(&self) -> Problem {
        match self {
            Self::NotFound | Self::NoSession => Problem::NotFound,
            Self::EmailTaken => Problem::EmailTaken,
            Self::WrongCredentials => Problem::WrongCredentials,
            Self::WrongRefreshToken => Problem::RefreshTokenInvalid,
            Self::NoAccount => Problem::TokenInvalid,
            Self::NoOperator => Problem::OperatorRequired,
            Self::OwnAccount => Problem::OwnAccount,
            Self::TooManyAttempts { .. } => Problem::RateLimited,
            Self::Stale => Problem::VersionMismatch,
            Self::PasswordMissing => Problem::PasswordRequired,
            Self::WrongPassword => Problem::WrongPassword,
            Self::NotActive(NotActive::Closing) => Problem::AccountClosing,
            Self::NotActive(NotActive::Disabled) => Problem::AccountDisabled,
            Self::WrongMailToken => Problem::MailTokenInvalid,
            Self::MailQueueFull => Problem::Overloaded,
            Self::Contended | Self::NoSigningKey => Problem::Unavailable,
            Self::Mail(error) => error.problem(),
            Self::Store(error) => error.problem(),
            Self::Password(error) => error.problem(),
            Self::UnreadableTask(_) | Self::Internal(_) => Problem::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyAttempts { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::EmailTaken => vec![Violation::field("/email", "is taken")],
            Self::WrongMailToken => vec![Violation::field("/token", "is not valid")],
            Self::PasswordMissing => vec![Violation::field("/current_password", "is missing")],
            Self::WrongPassword => vec![Violation::field("/current_password", "is wrong")],
            _ => Vec::new(),
        }
    }
}
