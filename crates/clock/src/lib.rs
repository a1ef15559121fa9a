#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

/// How far ahead a stored instant may lie until which something is leased, postponed or held back.
///
/// None of these lasts that long, so one that lies further ahead was stored under a clock that was wrong, and counts as
/// over: a clock that was an hour ahead costs a minute, not an hour.
pub const HORIZON: Duration = Duration::from_mins(1);

/// How far apart the clocks of two processes may be: what one has dated is not yet wrong to the other. As Kerberos has it
/// (RFC 4120, 3.2.3).
pub const SKEW: Duration = Duration::from_mins(5);

/// Says what time it is.
pub trait Clock: Send + Sync + Debug {
    /// Returns the current time in UTC, to the microsecond.
    fn now(&self) -> OffsetDateTime;
}

/// A clock that many tasks hold.
pub type SharedClock = Arc<dyn Clock>;

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> OffsetDateTime {
        // Cut to what the stores keep, so that a time read back equals the one that was written.
        truncate(OffsetDateTime::now_utc())
    }
}

/// Returns the clock of the operating system, ready to be shared.
pub fn system() -> SharedClock {
    Arc::new(System)
}

/// Returns `t` without what is finer than a microsecond.
pub fn truncate(t: OffsetDateTime) -> OffsetDateTime {
    t.replace_microsecond(t.microsecond()).unwrap_or(t)
}

/// Returns whole microseconds since 1970-01-01T00:00:00Z, the form in which stores keep a time.
pub fn micros(t: OffsetDateTime) -> i64 {
    // A time holds at most 9999 years, which is well within an i64; the fallback cannot be reached.
    i64::try_from(t.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

/// Returns the time that [`micros`] gave; what lies outside the years that can be shown becomes 1970.
pub fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Returns `t` as RFC 3339 in UTC, with `Z` and as many decimals as it needs, at most six.
pub fn rfc3339(t: OffsetDateTime) -> String {
    let t = truncate(t.to_offset(UtcOffset::UTC));
    t.format(&time::format_description::well_known::Rfc3339)
        // Only years outside 0..=9999 cannot be written, and those no clock gives.
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

/// Reads a time of RFC 3339, in UTC. None where it is no such time, or one that [`rfc3339`] could not write: in UTC it may
/// lie outside the years 0 to 9999.
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    time.checked_to_offset(UtcOffset::UTC).filter(|time| (0..=9999).contains(&time.year()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn what_was_written_is_read() {
        for t in [
            datetime!(2026-03-01 10:20:30.123456 UTC),
            datetime!(0000-01-01 00:00 UTC),
            datetime!(9999-12-31 23:59:59 UTC),
        ] {
            assert_eq!(parse_rfc3339(&rfc3339(t)), Some(t));
        }
        assert_eq!(parse_rfc3339("2026-03-01T12:20:30+02:00"), Some(datetime!(2026-03-01 10:20:30 UTC)));
        for other in
            ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01", "2026-03-01", "2026-02-30T00:00:00Z", ""]
        {
            assert_eq!(parse_rfc3339(other), None, "{other}");
        }
    }

    #[test]
    fn micros_and_back_is_the_same_time() {
        for t in [
            datetime!(2026-03-01 10:20:30.123456 UTC),
            datetime!(1969-12-31 23:59:59.999999 UTC),
            datetime!(1970-01-01 00:00 UTC),
        ] {
            assert_eq!(from_micros(micros(t)), t);
        }
    }

    #[test]
    fn micros_rounds_down_before_and_after_1970() {
        assert_eq!(micros(datetime!(1970-01-01 00:00:00.000001999 UTC)), 1);
        assert_eq!(micros(datetime!(1969-12-31 23:59:59.999999999 UTC)), -1);
    }

    #[test]
    fn from_micros_survives_any_number() {
        assert_eq!(from_micros(i64::MAX), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(from_micros(i64::MIN), OffsetDateTime::UNIX_EPOCH);
    }

    #[test]
    fn rfc3339_is_utc_with_the_decimals_needed() {
        assert_eq!(rfc3339(datetime!(2026-03-01 12:00:00.5 +2)), "2026-03-01T10:00:00.5Z");
        assert_eq!(rfc3339(datetime!(2026-03-01 12:00:00 UTC)), "2026-03-01T12:00:00Z");
        assert_eq!(rfc3339(datetime!(2026-03-01 12:00:00.123456789 UTC)), "2026-03-01T12:00:00.123456Z");
    }

    #[test]
    fn the_system_clock_gives_what_a_store_can_keep() {
        let now = System.now();
        assert_eq!(from_micros(micros(now)), now);
    }
}
