//! The store's side of outbox and inbox: what goes into its own transaction.

use messaging::{Effects, Event, Receipt, Recorded};
use sqlx::{Postgres, migrate::Migrator, postgres::PgArguments, query::Query};

use super::columns;
use crate::Error;

/// The tables that [`record`] writes to, beside the service's own.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
const HISTORY: &str = "_messaging_migrations";

/// Blocks while another transaction holds the same row back, then sees whether that one was committed.
const INBOX: &str = "INSERT INTO inbox (consumer, event) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const OUTBOX: &str = "INSERT INTO outbox
    (id, kind, source, subject, key, time, data, traceparent, tracestate, canary, part)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// What the columns of an event are, one after the other.
const COLUMNS: [&str; 11] =
    ["uuid", "text", "text", "text", "text", "timestamptz", "bytea", "text", "text", "boolean", "smallint"];

/// Connects to a service's database whose schema is its `migrations`, outbox and inbox; brings that up to date where
/// `migrate`, and otherwise makes sure that it is.
///
/// # Errors
/// When the database cannot be used, or its schema is too old.
pub async fn open(url: &str, name: &str, migrations: &Migrator, migrate: bool) -> Result<crate::Pool, Error> {
    let pool = crate::connect(url, name).await?;
    for (migrations, history) in [(migrations, crate::HISTORY), (&MIGRATIONS, HISTORY)] {
        if migrate {
            crate::migrate(&pool, migrations, history).await?;
        } else {
            crate::check(&pool, migrations, history).await?;
        }
    }
    Ok(pool)
}

/// Stores effects in the transaction that stores the state they belong to.
///
/// Call it after the state has been locked or changed: that is what keeps the events of one key in order. On
/// [`Recorded::Duplicate`] nothing was written: roll back and report success. Wake the relay after the commit.
///
/// # Errors
/// When the database cannot be written; roll back.
pub async fn record(tx: &mut crate::Connection, effects: &Effects) -> Result<Recorded, sqlx::Error> {
    if let Some(receipt) = &effects.receipt
        && !receive(tx, receipt).await?
    {
        return Ok(Recorded::Duplicate);
    }
    for event in &effects.events {
        columns::bind(sqlx::query(OUTBOX), event).execute(&mut *tx).await?;
    }
    Ok(Recorded::First)
}

async fn receive(tx: &mut crate::Connection, receipt: &Receipt) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(INBOX).bind(receipt.consumer).bind(receipt.event_id).execute(&mut *tx).await?;
    Ok(done.rows_affected() == 1)
}

/// A part of a statement, named `received`: stores a receipt, where there is one, for the row of the part `from`, which
/// changes the state. Its two parameters begin with number `first`; [`bind_receipt`] binds them.
///
/// With [`published`] it does in one round trip what [`record`] does in several. An event that was handled before breaks the
/// primary key of `inbox` and so undoes the whole statement: see [`is_duplicate`].
pub fn received(from: &str, first: usize) -> String {
    let (consumer, event) = (first, first + 1);
    format!(
        "received AS (INSERT INTO inbox (consumer, event) \
         SELECT ${consumer}, ${event} FROM {from} WHERE ${event}::uuid IS NOT NULL)"
    )
}

/// Binds the parameters of [`received`].
pub fn bind_receipt<'q>(
    query: Query<'q, Postgres, PgArguments>,
    receipt: Option<&'q Receipt>,
) -> Query<'q, Postgres, PgArguments> {
    query.bind(receipt.map(|receipt| receipt.consumer)).bind(receipt.map(|receipt| receipt.event_id))
}

/// Whether a statement was refused, as a whole, because its receipt had been stored before.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation() && error.table() == Some("inbox"))
}

/// A part of a statement, named `published`: stores events for the row of the part `from`, which changes the state. Its eleven
/// parameters begin with number `first`; [`bind_events`] binds them.
pub fn published(from: &str, first: usize) -> String {
    let columns: Vec<_> = (first..).zip(COLUMNS).map(|(number, column)| format!("${number}::{column}[]")).collect();
    format!(
        "published AS (INSERT INTO outbox \
         (id, kind, source, subject, key, time, data, traceparent, tracestate, canary, part) \
         SELECT event.id, kind, source, subject, key, time, data, traceparent, tracestate, canary, part \
         FROM {from}, unnest({}) WITH ORDINALITY AS event \
         (id, kind, source, subject, key, time, data, traceparent, tracestate, canary, part, place) ORDER BY place)",
        columns.join(", ")
    )
}

/// Binds the parameters of [`published`].
pub fn bind_events<'q>(
    query: Query<'q, Postgres, PgArguments>,
    events: &'q [Event],
) -> Query<'q, Postgres, PgArguments> {
    columns::bind_all(query, events)
}
