//! Numbers with bounds: `#[serde(deserialize_with = "config::within::<1, 100, _, _>")]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads a whole number from `MIN` to `MAX`.
///
/// # Errors
///
/// It is none, or beyond the bounds, which the message names.
pub fn within<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = u64::deserialize(deserializer)?;
    let inside = Some(number).filter(|number| (MIN..=MAX).contains(number));
    inside
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format!("{number} is out of range: from {MIN} to {MAX}")))
}

/// Reads a fraction from `MIN` to `MAX` hundredths.
///
/// # Errors
///
/// It is no number, or beyond the bounds, which the message names.
pub fn fraction<'de, const MIN: u8, const MAX: u8, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    let (min, max) = (f64::from(MIN) / 100.0, f64::from(MAX) / 100.0);
    // Not a number is in no range.
    let inside = Some(number).filter(|number| (min..=max).contains(number));
    inside.ok_or_else(|| D::Error::custom(format!("{number} is out of range: from {min} to {max}")))
}
