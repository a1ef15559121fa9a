//! Accounts, sessions and signing keys in an embedded SQLite database.

mod accounts;
mod audit_trail;
mod closings;
mod mail_tokens;
mod notifications;
mod rows;
mod sessions;
mod signing_keys;

use messaging::Wake;
use sqlite::Database;
use sqlx::migrate::Migrator;

use crate::app::ports::StoreError;

/// The schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

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

/// What the use cases may know of an error: whether asking again may help.
fn store_error(error: sqlx::Error) -> StoreError {
    if sqlite::is_unavailable(&error) {
        StoreError::Unavailable(error.into())
    } else {
        StoreError::Failed(error.into())
    }
}
