//! Why a use case refuses or fails.

use error::Kind;

use super::ports::{PaymentError, Shortage, StoreError};
use crate::domain::{basket::LineFault, order::InvalidTransition};

/// Why a use case refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account is closing: its tokens may only read.
    #[error("the account is closing")]
    AccountClosing,
    /// There is nothing of that kind with that id, or it belongs to somebody else.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// Lines that cannot be ordered as they are.
    #[error("the order does not fit the catalogue")]
    Basket(Vec<LineFault>),
    /// The payment token is not known to the provider.
    #[error("the payment token is not known")]
    UnknownToken,
    /// Not enough in stock.
    #[error("not enough in stock")]
    Shortage(Vec<Shortage>),
    /// Another product has the article number.
    #[error("the sku is taken")]
    SkuTaken,
    /// More than may be in stock.
    #[error("more than may be in stock")]
    StockFull,
    /// The product was changed by somebody else.
    #[error("the product was changed meanwhile")]
    Stale,
    /// The status of the order does not allow it.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// Payment has not answered yet; the sweeper goes on.
    #[error("payment does not answer")]
    PaymentPending,
    /// Others kept changing the same order.
    #[error("the order is being changed by others")]
    Contended,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be serialized.
    #[error("cannot make an event")]
    Event(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Payment did not answer, or not as its contract says.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// A product to be seeded is not valid.
    #[error("cannot read the products: {0}")]
    Seed(String),
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AccountClosing => Kind::Forbidden,
            Self::NotFound(_) => Kind::NotFound,
            Self::KeyReused | Self::Basket(_) | Self::UnknownToken | Self::StockFull | Self::Seed(_) => Kind::Invalid,
            Self::Shortage(_) | Self::InvalidTransition(_) => Kind::Conflict,
            Self::SkuTaken => Kind::AlreadyExists,
            Self::Stale => Kind::Precondition,
            Self::PaymentPending
            | Self::Contended
            | Self::Store(StoreError::Unavailable(_))
            | Self::Payment(PaymentError::Down(_) | PaymentError::Undecided(_)) => Kind::Unavailable,
            Self::Store(StoreError::Failed(_)) | Self::Event(_) | Self::Payment(PaymentError::Failed(_)) => {
                Kind::Internal
            }
        }
    }
}
