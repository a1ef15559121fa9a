//! Why a use case refuses or fails.

use std::sync::Arc;

use error::{HasProblem, Problem, Violation};

use super::ports::{CustomersError, PaymentError, Shortage, StoreError, search::SearchError};
use crate::domain::{
    basket::{Fault, LineFault},
    order::InvalidTransition,
};

/// Why a use case refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account is closing: its tokens may only read.
    #[error("the account is closing")]
    AccountClosing,
    /// The account is disabled: its tokens may only read.
    #[error("the account is disabled")]
    AccountDisabled,
    /// Somebody who is no operator asks for what only operators may do.
    #[error("only an operator may do this")]
    OperatorsOnly,
    /// There is nothing of that kind with that id, or it belongs to somebody else.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The ticket is none, is too old or was used before.
    #[error("the ticket is not good, or not any more")]
    TicketRefused,
    /// The account has as many streams open as it may.
    #[error("the account has too many streams open")]
    TooManyStreams,
    /// The process has as many streams open as it can, or has nothing to tell yet.
    #[error("no stream can be opened now")]
    StreamsUnavailable,
    /// It cannot be known how often something was done.
    #[error(transparent)]
    Limiter(#[from] limit::Error),
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
    /// There is no search server, or it does not answer.
    #[error("orders and further pages are searched on a search server, which does not answer")]
    SearchUnavailable,
    /// The search failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be serialized.
    #[error("cannot make an event")]
    Event(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Payment did not answer, or not as its contract says.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// User did not answer, or not as its contract says.
    #[error("the accounts cannot be read")]
    Customers(#[source] Arc<CustomersError>),
    /// A product to be seeded is not valid.
    #[error("cannot read the products: {0}")]
    Seed(String),
}

impl HasProblem for Error {
    fn problem(&self) -> Problem {
        match self {
            Self::AccountClosing => Problem::AccountClosing,
            Self::AccountDisabled => Problem::AccountDisabled,
            Self::OperatorsOnly => Problem::OperatorRequired,
            Self::NotFound(_) => Problem::NotFound,
            Self::Customers(error) => match **error {
                CustomersError::Down(_) => Problem::Unavailable,
                CustomersError::Failed(_) => Problem::Internal,
            },
            Self::KeyReused => Problem::IdempotencyKeyReused,
            Self::Basket(faults) => faults.first().map_or(Problem::InvalidFields, |(_, fault)| problem_of(*fault)),
            Self::UnknownToken => Problem::UnknownPaymentToken,
            Self::StockFull => Problem::StockLimitExceeded,
            Self::Seed(_) => Problem::InvalidFields,
            Self::Shortage(_) => Problem::InsufficientStock,
            Self::InvalidTransition(_) => Problem::StatusConflict,
            Self::SkuTaken => Problem::SkuTaken,
            Self::Stale => Problem::VersionMismatch,
            Self::TicketRefused => Problem::TicketInvalid,
            Self::TooManyStreams => Problem::TooManyStreams,
            Self::PaymentPending
            | Self::Contended
            | Self::StreamsUnavailable
            | Self::SearchUnavailable
            | Self::Search(SearchError::Unavailable(_))
            | Self::Limiter(_)
            | Self::Store(StoreError::Unavailable(_))
            | Self::Payment(PaymentError::Down(_) | PaymentError::Undecided(_)) => Problem::Unavailable,
            Self::Store(StoreError::Failed(_))
            | Self::Search(SearchError::Failed(_))
            | Self::Event(_)
            | Self::Payment(PaymentError::Failed(_)) => Problem::Internal,
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Self::KeyReused => vec![Violation::field("", "is not the body that the key was used with")],
            Self::Basket(faults) => faults.iter().map(|(line, fault)| line_at_fault(*line, *fault)).collect(),
            Self::UnknownToken => vec![Violation::field("/payment_token", "is not known")],
            Self::Shortage(lines) => lines.iter().map(short_line).collect(),
            Self::SkuTaken => vec![Violation::field("/sku", "is taken")],
            Self::StockFull => vec![Violation::field("/quantity", "is more than may be in stock")],
            _ => Vec::new(),
        }
    }
}

/// What the first line at fault suffers from names the problem; the others are listed with it.
fn problem_of(fault: Fault) -> Problem {
    match fault {
        Fault::UnknownProduct => Problem::UnknownProduct,
        Fault::DuplicateProduct => Problem::DuplicateProduct,
        Fault::CurrencyMismatch => Problem::MixedCurrencies,
        Fault::Overflow => Problem::TotalTooLarge,
    }
}

fn line_at_fault(line: usize, fault: Fault) -> Violation {
    let (field, detail) = match fault {
        Fault::UnknownProduct => ("product_id", "is not in the catalogue"),
        Fault::DuplicateProduct => ("product_id", "is in the order already"),
        Fault::CurrencyMismatch => ("product_id", "costs another currency than the lines before"),
        Fault::Overflow => ("quantity", "is more than can be paid for"),
    };
    Violation::field(format!("/items/{line}/{field}"), detail)
}

fn short_line(shortage: &Shortage) -> Violation {
    let Shortage { line, available } = shortage;
    Violation::field(format!("/items/{line}/quantity"), format!("is more than the {available} in stock"))
}
