//! The store's side of outbox and inbox: what goes into its own transaction.

use messaging::{Effects, Receipt, Recorded};

use crate::{Database, columns};

/// The tables that [`record`] writes to, for those who keep their schema in one place.
pub const SCHEMA: &str = include_str!("../../migrations/outbox.sql");

const INBOX: &str = "INSERT INTO inbox (consumer, event, at)
    VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000000 AS INTEGER)) ON CONFLICT DO NOTHING";

const OUTBOX: &str = "INSERT INTO outbox
    (id, kind, source, subject, key, time, data, traceparent, tracestate, canary)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Makes the tables where they are missing; may be called at each start and by several processes at once.
///
/// # Errors
/// When the database cannot be written.
pub async fn prepare(database: &Database) -> Result<(), sqlx::Error> {
    let mut tx = database.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *tx).await?;
    tx.commit().await
}

/// Stores effects in the transaction that stores the state they belong to.
///
/// Call it after the state has been read under the transaction's lock. On [`Recorded::Duplicate`] nothing was
/// written: roll back and report success. Wake the relay after the commit.
///
/// # Errors
/// When the database cannot be written; roll back.
pub async fn record(tx: &mut crate::Connection, effects: &Effects) -> Result<Recorded, sqlx::Error> {
    // The receipt first: where it is there already, nothing else may be written.
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
    let done = sqlx::query(INBOX)
        .bind(receipt.consumer)
        .bind(receipt.event_id.as_bytes().as_slice())
        .execute(&mut *tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
