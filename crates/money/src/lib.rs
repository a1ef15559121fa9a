//! Money: integer minor units in a currency of ISO 4217. There is no floating point anywhere.
//!
//! ```
//! use money::{Currency, Money};
//!
//! let price = Money::new(1299, Currency::parse("EUR")?);
//! let total = price.checked_mul(3)?;
//! assert_eq!(total.to_string(), "38.97 EUR");
//! # Ok::<(), money::Error>(())
//! ```
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
