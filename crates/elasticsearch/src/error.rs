//! What the server says no to, and whether asking again may help.

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
        matches!(self, Self::Unavailable(_) | Self::Busy(_) | Self::NoIndex)
    }

    /// What an answer's status and the error in it mean.
    pub(crate) fn of(status: StatusCode, error: &Value) -> Self {
        let text = |field: &str| error[field].as_str().unwrap_or_default();
        let reason = || format!("{} {}", text("type"), text("reason"));
        match status {
            StatusCode::NOT_FOUND => Self::NoIndex,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Self::Busy(reason()),
            _ => Self::Refused { status, reason: reason() },
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error)
    }
}
