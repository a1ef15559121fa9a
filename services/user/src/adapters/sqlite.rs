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

/// What the use cases may know of a failure: whether it may pass.
fn failure(error: sqlx::Error) -> Failure {
    if sqlite::is_unavailable(&error) { Failure::Unavailable(error.into()) } else { Failure::Broken(error.into()) }
}
