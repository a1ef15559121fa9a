//! Ids, and the provider's opaque references and tokens.

use std::fmt;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The id as a UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// The id of a payment.
    PaymentId
);
id!(
    /// The id of the order that a payment is for; an order has at most one payment.
    OrderId
);
id!(
    /// The id of the user who pays.
    UserId
);

/// The provider's reference of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChargeReference(String);

impl ChargeReference {
    /// Takes the provider's text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The provider's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the customer pays with: a secret of the provider's, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(String);

impl PaymentToken {
    /// Longest token that is accepted, in bytes.
    pub const MAX_LENGTH: usize = 255;

    /// Parses 1 to 255 visible ASCII characters; whether it exists only the provider knows.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The text, for the provider and the store only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii_of_bounded_length() {
        assert!(PaymentToken::parse("tok_ok").is_some());
        assert!(PaymentToken::parse(&"x".repeat(255)).is_some());
        for bad in ["", "a b", "tök", "a\n", &"x".repeat(256)] {
            assert!(PaymentToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = PaymentToken::parse("tok_secret").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}
