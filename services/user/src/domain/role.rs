//! What an account may do.

use std::{fmt, str::FromStr};

use super::Invalid;

/// The role that an account's next token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Buys things.
    Customer,
    /// Runs the shop.
    Operator,
}

impl Role {
    /// Its name in tokens and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "customer" => Ok(Self::Customer),
            "operator" => Ok(Self::Operator),
            _ => Err(Invalid("must be customer or operator")),
        }
    }
}
