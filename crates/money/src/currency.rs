//! A currency of ISO 4217.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Reads the code of three capital letters, such as `EUR`.
    ///
    /// # Errors
    ///
    /// When there is no such currency.
    pub fn parse(code: &str) -> Result<Self, Error> {
        let found = if code.len() == 3 { iso_currency::Currency::from_code(code) } else { None };
        // The list's own letter case rules do not matter: only the code as ISO writes it is taken.
        found
            .filter(|currency| currency.code() == code)
            .map(Self)
            .ok_or_else(|| Error::UnknownCurrency(code.chars().take(16).collect()))
    }

    /// Returns the code, such as `EUR`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Returns how many decimals the main unit has: 2 for euros, 0 for yen; 0 also where ISO gives none, as for gold.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_read_as_iso_writes_them() {
        for (code, decimals) in [("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("XAU", 0)] {
            let currency = Currency::parse(code).unwrap();
            assert_eq!((currency.code(), currency.decimals()), (code, decimals));
        }
        for code in ["eur", "Eur", "EURO", "EU", "", "ABC", "€€€", "EUR ", "\u{0}\u{0}\u{0}"] {
            assert!(Currency::parse(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn a_currency_is_its_code_in_json() {
        let euro: Currency = serde_json::from_str("\"EUR\"").unwrap();
        assert_eq!(serde_json::to_string(&euro).unwrap(), "\"EUR\"");
        assert!(serde_json::from_str::<Currency>("\"EURO\"").is_err());
    }
}
