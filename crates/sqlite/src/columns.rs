//! How an event becomes columns and back; the outbox and the log have the same ones.

use bytes::Bytes;
use messaging::{Carrier, Error, Event};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};
use uuid::Uuid;

/// Binds the eleven columns of an event, in the order `id, kind, source, subject, key, time, data, traceparent,
/// tracestate, canary`.
pub(crate) fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    event: &'q Event,
) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(event.id.as_bytes().as_slice())
        .bind(event.kind.as_str())
        .bind(event.source.as_str())
        .bind(event.subject.as_deref())
        .bind(event.key.as_str())
        .bind(clock::micros(event.time))
        .bind(event.data.as_ref())
        .bind(event.carrier.traceparent.as_deref())
        .bind(event.carrier.tracestate.as_deref())
        .bind(event.carrier.canary)
}

/// Reads the columns by their names.
pub(crate) fn event(row: &SqliteRow) -> Result<Event, Error> {
    read(row).map_err(|error| Error::Malformed(error.to_string()))
}

fn read(row: &SqliteRow) -> Result<Event, sqlx::Error> {
    let id = Uuid::from_slice(row.try_get("id")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Event {
        id,
        kind: row.try_get("kind")?,
        source: row.try_get("source")?,
        subject: row.try_get("subject")?,
        key: row.try_get("key")?,
        time: clock::from_micros(row.try_get("time")?),
        data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        carrier: Carrier {
            traceparent: row.try_get("traceparent")?,
            tracestate: row.try_get("tracestate")?,
            canary: row.try_get("canary")?,
        },
    })
}

/// A JSON list of numbers, which SQL takes apart with `json_each`: one statement, however many there are.
pub(crate) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for number in numbers {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&number.to_string());
    }
    text.push(']');
    text
}

/// A count from the database, which has no unsigned numbers.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A small count from the database.
pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A limit for the database, where a negative one would mean none.
pub(crate) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A duration in the database's unit.
pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The furthest that an instant may lie ahead of this one, in the database's unit: see [`clock::HORIZON`].
pub(crate) fn horizon(now: i64) -> i64 {
    now.saturating_add(micros(clock::HORIZON))
}
