//! An amount in a currency.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Currency, Error};

/// An amount of minor units (cents) in a currency; negative where a ledger needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The minor units.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Makes money from minor units.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Makes no money at all.
    pub fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Adds money of the same currency.
    ///
    /// # Errors
    ///
    /// When the currencies differ or the sum cannot be counted.
    pub fn checked_add(self, other: Self) -> Result<Self, Error> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(Error::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Takes away money of the same currency.
    ///
    /// # Errors
    ///
    /// When the currencies differ or the difference cannot be counted.
    pub fn checked_sub(self, other: Self) -> Result<Self, Error> {
        self.same_currency(other)?;
        let amount = self.amount.checked_sub(other.amount).ok_or(Error::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Multiplies by a quantity.
    ///
    /// # Errors
    ///
    /// When the product cannot be counted.
    pub fn checked_mul(self, quantity: i64) -> Result<Self, Error> {
        let amount = self.amount.checked_mul(quantity).ok_or(Error::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Adds up; nothing to add up is nothing.
    ///
    /// # Errors
    ///
    /// When the currencies differ or the sum cannot be counted.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Result<Option<Self>, Error> {
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return Ok(None) };
        all.try_fold(first, Self::checked_add).map(Some)
    }

    fn same_currency(self, other: Self) -> Result<(), Error> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(Error::MixedCurrencies(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let sign = if self.amount < 0 { "-" } else { "" };
        let (amount, unit) = (self.amount.unsigned_abs(), 10_u64.pow(decimals));
        if decimals == 0 {
            write!(f, "{sign}{amount} {}", self.currency)
        } else {
            let width = decimals as usize;
            write!(f, "{sign}{}.{:0width$} {}", amount / unit, amount % unit, self.currency)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, Currency::parse(code).unwrap())
    }

    #[test]
    fn it_is_shown_with_the_decimals_of_its_currency() {
        for (amount, code, shown) in [
            (1299, "EUR", "12.99 EUR"),
            (5, "EUR", "0.05 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (1299, "JPY", "1299 JPY"),
            (1299, "KWD", "1.299 KWD"),
            (i64::MIN, "JPY", "-9223372036854775808 JPY"),
        ] {
            assert_eq!(money(amount, code).to_string(), shown);
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let (euro, yen) = (money(1, "EUR"), money(1, "JPY"));
        let mixed = Error::MixedCurrencies(euro.currency, yen.currency);
        assert_eq!(euro.checked_add(yen), Err(mixed.clone()));
        assert_eq!(euro.checked_sub(yen), Err(mixed.clone()));
        assert_eq!(Money::sum([euro, yen]), Err(mixed));
    }

    #[test]
    fn what_cannot_be_counted_is_an_error() {
        assert_eq!(money(i64::MAX, "EUR").checked_add(money(1, "EUR")), Err(Error::Overflow));
        assert_eq!(money(i64::MIN, "EUR").checked_sub(money(1, "EUR")), Err(Error::Overflow));
        assert_eq!(money(i64::MAX, "EUR").checked_mul(2), Err(Error::Overflow));
    }

    #[test]
    fn the_wire_has_amount_and_currency_and_nothing_else() {
        let json = serde_json::json!({"amount": 1299, "currency": "EUR"});
        assert_eq!(serde_json::to_value(money(1299, "EUR")).unwrap(), json);
        assert_eq!(serde_json::from_value::<Money>(json).unwrap(), money(1299, "EUR"));
        for bad in [
            r#"{"amount": 1.5, "currency": "EUR"}"#,
            r#"{"amount": 1, "currency": "eur"}"#,
            r#"{"amount": 1, "currency": "EUR", "unit": 2}"#,
            r#"{"amount": 1}"#,
        ] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn adding_and_taking_away_is_nothing(a in any::<i32>(), b in any::<i32>()) {
            let (a, b) = (money(a.into(), "EUR"), money(b.into(), "EUR"));
            prop_assert_eq!(a.checked_add(b)?.checked_sub(b)?, a);
        }

        #[test]
        fn a_sum_is_the_product_of_equal_parts(amount in -1_000_000_i64..1_000_000, times in 1_u8..50) {
            let parts = std::iter::repeat_n(money(amount, "EUR"), times.into());
            prop_assert_eq!(Money::sum(parts)?, Some(money(amount, "EUR").checked_mul(times.into())?));
        }
    }
}
