//! Accounts, sessions and signing keys in an embedded SQLite database.

mod accounts;
mod closings;
mod row;
mod sessions;
mod signing_keys;

use messaging::Wake;
use sqlite::Database;
use sqlx::migrate::Migrator;

use crate::app::ports::Failure;

/// The schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct SqliteStore {
    db: Database,
    wake: Wake,
}

impl SqliteStore {
    /// Stores in `db`, whose schema is [`MIGRATIONS`]; `wake` tells the relay of new events.
    pub fn new(db: Database, wake: Wake) -> Self {
        Self { db, wake }
    }
}

/// What the use cases may know of a failure: whether it may pass.
fn failure(error: sqlx::Error) -> Failure {
    // Primary result codes 5 and 6 are SQLITE_BUSY and SQLITE_LOCKED; the rest of the number is the extension.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let code = code.and_then(|code| code.parse::<u32>().ok());
    let busy = code.is_some_and(|code| matches!(code & 0xff, 5 | 6));
    if busy || matches!(error, sqlx::Error::PoolTimedOut) {
        Failure::Unavailable(error.into())
    } else {
        Failure::Broken(error.into())
    }
}
