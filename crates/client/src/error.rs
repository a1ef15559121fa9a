//! How an outgoing call fails.

use error::Kind;
use resilience::Failed;

/// Why there is no response to use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The deadline passed; whether the callee did its work is not known.
    #[error("{0} did not answer in time")]
    Timeout(&'static str),
    /// No connection, or the callee said that it cannot answer now.
    #[error("{callee} is unavailable: {reason}")]
    Unavailable {
        /// The service called.
        callee: &'static str,
        /// What was seen.
        reason: String,
    },
    /// Not tried: the callee has failed too often of late.
    #[error("{callee} is not called: its circuit breaker is open")]
    BreakerOpen {
        /// The service that would be called.
        callee: &'static str,
        /// The failure since which it has not answered.
        #[source]
        failure: Option<Failed>,
    },
    /// The callee responded and refused.
    #[error("{callee} refused: {message}")]
    Status {
        /// The service called.
        callee: &'static str,
        /// What it refused with.
        kind: Kind,
        /// Its message, for logs; not for this service's own callers.
        message: String,
    },
}

impl Error {
    /// Whether the callee itself is to blame, so that its breaker counts this.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable { .. })
    }
}
