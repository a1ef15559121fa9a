//! Durations as people write them, with bounds:
//! `#[serde(deserialize_with = "config::duration::within::<SECOND, HOUR, _>")]`.

use std::fmt::Write;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Milliseconds of a second, for bounds.
pub const SECOND: u64 = 1_000;
/// Milliseconds of a minute.
pub const MINUTE: u64 = 60 * SECOND;
/// Milliseconds of an hour.
pub const HOUR: u64 = 60 * MINUTE;
/// Milliseconds of a day.
pub const DAY: u64 = 24 * HOUR;

/// The units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// Reads a duration such as `3s`, `250ms` or `1h30m`.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = after;
    }
    Some(Duration::from_millis(total))
}

/// Writes a duration the way [`parse`] reads it, to the millisecond.
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, millis) in UNITS {
        if left >= millis {
            let _ = write!(text, "{}{name}", left / millis); // A string takes everything.
            left %= millis;
        }
    }
    text
}

/// Reads a duration from its text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no duration: write it like 250ms, 3s or 1h30m")))
}

/// Reads a duration from `MIN` to `MAX` milliseconds.
///
/// # Errors
///
/// It is none, or beyond the bounds, which the message names.
pub fn within<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let (duration, min, max) = (deserialize(d)?, Duration::from_millis(MIN), Duration::from_millis(MAX));
    if (min..=max).contains(&duration) {
        return Ok(duration);
    }
    let [duration, min, max] = [duration, min, max].map(format);
    Err(D::Error::custom(format!("{duration} is out of range: from {min} to {max}")))
}

/// Writes a duration as text.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("3s", 3_000),
            (" 5m ", 300_000),
            ("1h30m", 5_400_000),
            ("1s500ms", 1_500),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "3 s", "-1s", "1.5s", "3x", "99999999999999999999s", "300000000000d"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        for millis in [0, 1, 999, 1_000, 61_001, 90_000_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)), Some(duration));
        }
        assert_eq!(format(Duration::from_millis(5_400_250)), "1h30m250ms");
    }
}
