//! How an event becomes columns and back.

use super::lease::PARTITIONS;
use crate::time;
use bytes::Bytes;
use messaging::{Carrier, DeadRow, Error, Event, OutboxRow, partitioned::partition_of};
use sqlx::{
    Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};

/// Binds the eleven columns of an event, in the order `id, kind, source, subject, key, time, data, traceparent,
/// tracestate, canary, part`.
pub(super) fn bind<'q>(query: Query<'q, Postgres, PgArguments>, event: &'q Event) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(event.id)
        .bind(event.kind.as_str())
        .bind(event.source.as_str())
        .bind(event.subject.as_deref())
        .bind(event.key.as_str())
        .bind(event.time)
        .bind(event.data.as_ref())
        .bind(event.carrier.traceparent.as_deref())
        .bind(event.carrier.tracestate.as_deref())
        .bind(event.carrier.canary)
        .bind(partition(&event.key))
}

/// Binds the same columns of several events, each as a list.
pub(super) fn bind_all<'q>(
    query: Query<'q, Postgres, PgArguments>,
    events: &'q [Event],
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(events.iter().map(|event| event.id).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.source.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.subject.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.time).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.data.as_ref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.carrier.traceparent.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.carrier.tracestate.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.carrier.canary).collect::<Vec<_>>())
        .bind(events.iter().map(|event| partition(&event.key)).collect::<Vec<_>>())
}

fn partition(key: &str) -> i16 {
    i16::try_from(partition_of(key, PARTITIONS.unsigned_abs())).unwrap_or_default()
}

/// Where a row stands in the outbox, and how often it was refused.
pub(super) struct Place {
    pub(super) seq: i64,
    pub(super) fence: i64,
    partition: i16,
    attempts: i32,
}

impl Place {
    /// The row with its event.
    pub(super) fn row(self, event: Event) -> OutboxRow {
        let Self { seq, fence, partition, attempts } = self;
        OutboxRow { seq, partition, fence, event, attempts: attempts.unsigned_abs() }
    }
}

/// Reads where a row stands, which is of one of these partitions.
pub(super) fn place(row: &PgRow, fences: &[(i16, i64)]) -> Result<Place, Error> {
    let partition: i16 = row.try_get("part").map_err(Error::outbox)?;
    let fence = fences.iter().find(|(mine, _)| *mine == partition).map(|(_, fence)| *fence).unwrap_or_default();
    let seq = row.try_get("seq").map_err(Error::outbox)?;
    Ok(Place { seq, fence, partition, attempts: row.try_get("attempts").map_err(Error::outbox)? })
}

/// Reads the event of a row.
pub(super) fn event(row: &PgRow) -> Result<Event, Error> {
    read(row).map_err(|error| Error::Malformed(error.to_string()))
}

fn read(row: &PgRow) -> Result<Event, sqlx::Error> {
    Ok(Event {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        source: row.try_get("source")?,
        subject: row.try_get("subject")?,
        key: row.try_get("key")?,
        time: time(row, "time")?,
        data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        carrier: Carrier {
            traceparent: row.try_get("traceparent")?,
            tracestate: row.try_get("tracestate")?,
            canary: row.try_get("canary")?,
        },
    })
}

/// Reads a row that was given up.
pub(super) fn dead(row: &PgRow) -> Result<DeadRow, Error> {
    let attempts: i32 = row.try_get("attempts").map_err(Error::outbox)?;
    let reason: Option<String> = row.try_get("reason").map_err(Error::outbox)?;
    Ok(DeadRow {
        event: event(row).ok(),
        attempts: attempts.unsigned_abs(),
        reason: reason.unwrap_or_default(),
        dead_at: time(row, "dead_at").map_err(Error::outbox)?,
    })
}
