//! Values that are right once they exist: parse, don't validate.
//!
//! Every `parse` answers with a text that says what is expected, fit to be
//! shown to the caller.

use std::fmt;

use money::Money;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// A product's article number: 1–64 of `A-Za-z0-9._-`.
    Sku
}
text! {
    /// A product's name: 1–200 characters, not only white space.
    Name
}
text! {
    /// A product's description: at most 5,000 characters, line breaks allowed.
    Description
}

impl Sku {
    /// Parses an article number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits && (1..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'".to_owned())
        }
    }
}

impl Name {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits =
            (1..=200).contains(&text.chars().count()) && !text.trim().is_empty() && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err("must be 1 to 200 characters".to_owned()) }
    }
}

impl Description {
    /// Parses a description.
    pub fn parse(text: &str) -> Result<Self, String> {
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if text.chars().count() > 5_000 {
            Err("must be at most 5000 characters".to_owned())
        } else if text.chars().any(control) {
            Err("must not contain control characters other than line breaks and tabs".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// What one piece of a product costs: 1–100,000,000 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price(Money);

impl Price {
    /// The most a piece may cost, in minor units.
    pub const MAX: i64 = 100_000_000;

    /// Parses the amount of a price; the currency is parsed on its own.
    pub fn amount(minor: i64) -> Result<i64, String> {
        if (1..=Self::MAX).contains(&minor) { Ok(minor) } else { Err(format!("must be 1 to {}", Self::MAX)) }
    }

    /// Parses a price.
    pub fn parse(money: Money) -> Result<Self, String> {
        Self::amount(money.amount).map(|_| Self(money))
    }

    /// The price as money.
    pub fn money(self) -> Money {
        self.0
    }
}

/// Pieces in stock: 0–1,000,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stock(i64);

impl Stock {
    /// The most pieces of a product that may be in stock.
    pub const MAX: i64 = 1_000_000_000;

    /// Parses a count of pieces.
    pub fn parse(pieces: i64) -> Result<Self, String> {
        if (0..=Self::MAX).contains(&pieces) { Ok(Self(pieces)) } else { Err(format!("must be 0 to {}", Self::MAX)) }
    }

    /// The number of pieces.
    pub fn pieces(self) -> i64 {
        self.0
    }
}

/// How many pieces a restock adds: 1–1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestockQuantity(i64);

impl RestockQuantity {
    /// Parses a count of pieces.
    pub fn parse(pieces: i64) -> Result<Self, String> {
        if (1..=1_000_000).contains(&pieces) { Ok(Self(pieces)) } else { Err("must be 1 to 1000000".to_owned()) }
    }

    /// The number of pieces.
    pub fn pieces(self) -> i64 {
        self.0
    }
}

/// How many pieces of one product an order asks for: 1–999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity(i64);

impl Quantity {
    /// Parses a count of pieces.
    pub fn parse(pieces: i64) -> Result<Self, String> {
        if (1..=999).contains(&pieces) { Ok(Self(pieces)) } else { Err("must be 1 to 999".to_owned()) }
    }

    /// The number of pieces.
    pub fn pieces(self) -> i64 {
        self.0
    }
}

/// What the payment provider gave the customer to pay with: 1–255 visible
/// ASCII characters. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(String);

impl PaymentToken {
    /// Parses a payment token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = text.bytes().all(|b| b.is_ascii_graphic());
        if fits && (1..=255).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 255 visible ASCII characters".to_owned())
        }
    }

    /// The token itself, for the payment service alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn skus_are_plain() {
        for good in ["a", "MUG-1.b_2", &"x".repeat(64)] {
            assert_eq!(Sku::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert!(Sku::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_and_descriptions_are_counted_in_characters() {
        assert!(Name::parse(&"ä".repeat(200)).is_ok());
        assert!(Name::parse(&"a".repeat(201)).is_err());
        assert!(Name::parse("").is_err());
        assert!(Name::parse("  ").is_err());
        assert!(Name::parse("a\nb").is_err());
        assert!(Description::parse("").is_ok());
        assert!(Description::parse("a\r\nb\tc").is_ok());
        assert!(Description::parse("a\u{7}").is_err());
        assert!(Description::parse(&"ä".repeat(5_000)).is_ok());
        assert!(Description::parse(&"a".repeat(5_001)).is_err());
    }

    #[test]
    fn numbers_have_their_ranges() {
        assert!(Price::amount(0).is_err() && Price::amount(1).is_ok());
        assert!(Price::amount(Price::MAX).is_ok() && Price::amount(Price::MAX + 1).is_err());
        assert!(Stock::parse(-1).is_err() && Stock::parse(0).is_ok());
        assert!(Stock::parse(Stock::MAX).is_ok() && Stock::parse(Stock::MAX + 1).is_err());
        assert!(RestockQuantity::parse(0).is_err() && RestockQuantity::parse(1_000_000).is_ok());
        assert!(RestockQuantity::parse(1_000_001).is_err());
        assert!(Quantity::parse(0).is_err() && Quantity::parse(999).is_ok());
        assert!(Quantity::parse(1_000).is_err() && Quantity::parse(-1).is_err());
    }

    #[test]
    fn a_payment_token_is_not_shown() {
        let token = PaymentToken::parse("tok_ok").unwrap();
        assert_eq!(token.expose(), "tok_ok");
        assert!(!format!("{token:?}").contains("tok_ok"));
        for bad in ["", "a b", "é", &"x".repeat(256)] {
            assert!(PaymentToken::parse(bad).is_err());
        }
    }
}
