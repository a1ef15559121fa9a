//! Where an account is in its life.

use std::str::FromStr;

use super::Invalid;

/// `active → closing → closed`, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// May do everything.
    Active,
    /// Its open orders are being cancelled; it may only be read.
    Closing,
    /// Nothing personal is left of it.
    Closed,
}

impl Status {
    /// Its name in responses and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self::Active),
            "closing" => Ok(Self::Closing),
            "closed" => Ok(Self::Closed),
            _ => Err(Invalid("must be active, closing or closed")),
        }
    }
}
