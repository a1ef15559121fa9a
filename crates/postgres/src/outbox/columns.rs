//! How an event becomes columns and back.

use bytes::Bytes;
use messaging::{Carrier, Error, Event, OutboxRow, partitioned::partition_of};
use sqlx::{
    Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::lease::PARTITIONS;

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

/// Reads a row of the outbox, which is of one of these partitions.
pub(super) fn outbox(row: &PgRow, fences: &[(i16, i64)]) -> Result<OutboxRow, Error> {
    read(row, fences).map_err(|error| Error::Malformed(error.to_string()))
}

fn read(row: &PgRow, fences: &[(i16, i64)]) -> Result<OutboxRow, sqlx::Error> {
    let event = Event {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        source: row.try_get("source")?,
        subject: row.try_get("subject")?,
        key: row.try_get("key")?,
        time: row.try_get("time")?,
        data: Bytes::from(row.try_get::<Vec<u8>, _>("data")?),
        carrier: Carrier {
            traceparent: row.try_get("traceparent")?,
            tracestate: row.try_get("tracestate")?,
            canary: row.try_get("canary")?,
        },
    };
    let attempts = u32::try_from(row.try_get::<i32, _>("attempts")?).unwrap_or_default();
    let partition = row.try_get("part")?;
    let fence = fences.iter().find(|(mine, _)| *mine == partition).map(|(_, fence)| *fence).unwrap_or_default();
    Ok(OutboxRow { seq: row.try_get("seq")?, partition, fence, event, attempts })
}
