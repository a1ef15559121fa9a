//! What the server says no to, and whether asking again may help.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ::client::Error as CallError;
use http::StatusCode;
use serde_json::Value;

/// The server did not do what it was asked to. Nothing of its address is shown, for that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("{0}")]
    Url(&'static str),
    /// It could not be reached, or can do nothing now.
    #[error("the search server does not answer")]
    Unavailable(#[source] CallError),
    /// It is too busy, or has not all of its data.
    #[error("the search server is not able to do this now: {0}")]
    Busy(String),
    /// It does not let us: the password is another one now, a permission is missing, or an index takes no writes. That is no
    /// fault of what was asked for, and is put right there.
    #[error("the search server denies this with {status}: {reason}")]
    Denied {
        /// The status of its answer.
        status: StatusCode,
        /// What it said.
        reason: String,
    },
    /// There is no index of that name, or none is being built.
    #[error("there is no such index")]
    NoIndex,
    /// It refused.
    #[error("the search server refused with {status}: {reason}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// What it said.
        reason: String,
    },
    /// Its answer is not what its interface promises.
    #[error("the search server gave an answer that makes no sense")]
    Answer(#[from] serde_json::Error),
}

impl Error {
    /// Whether the same call may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_) | Self::Denied { .. } | Self::NoIndex)
    }

    /// What an answer's status and the error in it mean.
    pub(crate) fn of(status: StatusCode, error: &Value) -> Self {
        let text = |field: &str| error[field].as_str().unwrap_or_default();
        let reason = || format!("{} {}", text("type"), text("reason"));
        match status {
            StatusCode::NOT_FOUND => Self::NoIndex,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Busy(reason()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Denied { status, reason: reason() },
            _ => Self::Refused { status, reason: reason() },
        }
    }
}

/// What is denied, until it is allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denials(Arc<Mutex<BTreeMap<String, (StatusCode, String)>>>);

impl Denials {
    /// Takes note of what became of a call, of which there are few.
    pub(crate) fn note<T>(&self, call: &str, answer: Result<T, Error>) -> Result<T, Error> {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Ok(_) => _ = denied.remove(call),
            Err(Error::Denied { status, reason }) => _ = denied.insert(call.to_owned(), (*status, reason.clone())),
            Err(_) => {}
        }
        answer
    }

    /// # Errors
    /// What was denied.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).values().next() {
            Some((status, reason)) => Err(Error::Denied { status: *status, reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error)
    }
}
