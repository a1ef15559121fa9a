//! The store's side of outbox and inbox: what goes into its own transaction.

use messaging::{Effects, Receipt, Recorded};
use sqlx::migrate::Migrator;

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
