#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bus;
mod columns;
mod location;
mod open;
mod outbox;

pub use bus::{Bus, DIFFERENCES, open_bus};
pub use open::{Error, open};
pub use outbox::{Outbox, SCHEMA, prepare, record};

use sqlx::{AssertSqlSafe, Sqlite, error::DatabaseError as _, sqlite::SqliteError};

/// A pool whose statements are measured.
pub type Pool = sql::Pool<Sqlite>;
/// A connection whose statements are measured.
pub type Connection = sql::Connection<Sqlite>;
/// A transaction whose statements are measured.
pub type Transaction = sql::Transaction<Sqlite>;

/// An open database.
///
/// For `sqlite::memory:` both pools are one and the same connection: do not read through a pool while a transaction
/// is open, read through the transaction.
#[derive(Debug, Clone)]
pub struct Database {
    /// The connections that read; they refuse to write.
    pub read: Pool,
    /// The one connection that writes.
    pub write: Pool,
}

impl Database {
    /// Begins a transaction that may write.
    ///
    /// It takes the write lock at once (`BEGIN IMMEDIATE`), so that it cannot fail halfway because another process
    /// wrote in between. Dropping it rolls back.
    ///
    /// # Errors
    ///
    /// When another process holds the write lock for more than 5 s, or the file cannot be used.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.write.begin_with("BEGIN IMMEDIATE").await
    }

    /// Closes all connections once they are idle.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Makes sure that it can be written; for health checks.
    ///
    /// Taking the write lock shows that as long as all goes well. A disk that is full or fails is only found out by a
    /// commit: after something that did not end well one is made, of what is there already.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let doubt = self.write.take_doubt();
        let mut tx = self.begin().await?;
        if !doubt {
            return tx.rollback().await;
        }
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {version}"))).execute(&mut *tx).await?;
        tx.commit().await
    }
}

/// Says whether the failure is a broken UNIQUE or PRIMARY KEY constraint.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Says whether the same call may work later: the database is busy, its disk is full, read-only or away, memory is short, or
/// the pool is away.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    // The primary result codes BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN and PROTOCOL, a race for the
    // write-ahead log; the rest of the number is the extension.
    let passing = |code: u32| matches!(code & 0xff, 5..=10 | 13..=15);
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        // Of another database a code may look like one of these.
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<SqliteError>()
            .is_some_and(|error| error.code().and_then(|code| code.parse().ok()).is_some_and(passing)),
        _ => false,
    }
}
