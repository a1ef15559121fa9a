//! Why a use case failed, and of what kind that is.

use error::{HasProblem, Problem, Violation};

use super::ports::{Cause, ProviderError, StoreError};
use crate::domain::Refusal;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payment's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The order has a payment of another amount or user.
    #[error("the order already has a payment with another {0}")]
    Differs(&'static str),
    /// The provider does not know the payment token.
    #[error("unknown payment token")]
    UnknownToken,
    /// There is no such payment.
    #[error("no such payment")]
    NotFound,
    /// The provider gives no outcome now.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Another request holds the payment's lock, or has written meanwhile.
    #[error("another request works on this payment")]
    Busy,
    /// The payment's lock cannot be taken, whoever holds it.
    #[error("the lock of this payment cannot be taken")]
    Lock(#[source] lock::Error),
    /// The store gives no result.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be encoded.
    #[error("an event could not be encoded")]
    Event(#[source] Cause),
}

impl Error {
    /// Whether what all commands need is away: the store, where the locks are, or the provider.
    pub fn is_outage(&self) -> bool {
        use lock::Error::{TimedOut, Unavailable};
        matches!(
            self,
            Self::Store(StoreError::Unavailable(_)) | Self::Lock(Unavailable(_) | TimedOut(_)) | Self::Provider(_)
        )
    }
}

impl HasProblem for Error {
    fn problem(&self) -> Problem {
        match self {
            Self::Refused(_) => Problem::StatusConflict,
            Self::Differs(_) => Problem::PaymentDiffers,
            Self::UnknownToken => Problem::UnknownPaymentToken,
            Self::NotFound => Problem::NotFound,
            Self::Provider(_) | Self::Busy | Self::Lock(_) | Self::Store(StoreError::Unavailable(_)) => {
                Problem::Unavailable
            }
            Self::Store(StoreError::Failed(_)) | Self::Event(_) => Problem::Internal,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::UnknownToken => vec![Violation::field("/payment_token", "is not known")],
            Self::Differs(field) => vec![Violation::field(format!("/{field}"), "differs")],
            _ => Vec::new(),
        }
    }
}
