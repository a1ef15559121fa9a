#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod amount;
mod currency;

pub use amount::Money;
pub use currency::Currency;

/// Money that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no currency of ISO 4217.
    #[error("`{0}` is no currency of ISO 4217")]
    UnknownCurrency(String),
    /// Two currencies do not add up.
    #[error("{0} and {1} cannot be put together")]
    MixedCurrencies(Currency, Currency),
    /// The result is more than can be counted.
    #[error("the amount is too large")]
    Overflow,
}
