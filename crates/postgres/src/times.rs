//! Times as they are stored.

use sqlx::{ColumnIndex, Row as _, postgres::PgRow};
use time::OffsetDateTime;

/// From 1970-01-01 to 2000-01-01, in microseconds.
const SINCE_1970: i128 = 946_684_800_000_000;

/// Reads a time as the server sends it, in microseconds since 2000: of one beyond the years that [`OffsetDateTime`] knows, such
/// as `infinity`, sqlx makes a panic.
///
/// # Errors
///
/// It is such a time, or the column has none.
pub fn time(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<OffsetDateTime, sqlx::Error> {
    instant(row.try_get_unchecked(column)?)
}

/// The same of a column that may have none.
///
/// # Errors
///
/// It is such a time.
pub fn optional_time(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    row.try_get_unchecked::<Option<i64>, _>(column)?.map(instant).transpose()
}

fn instant(micros: i64) -> Result<OffsetDateTime, sqlx::Error> {
    let since_1970 = i128::from(micros) + SINCE_1970;
    OffsetDateTime::from_unix_timestamp_nanos(since_1970 * 1_000).map_err(|error| sqlx::Error::Decode(error.into()))
}
