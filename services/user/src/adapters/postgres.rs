//! Accounts, sessions and signing keys in a PostgreSQL database.
//!
//! Where a statement decides by what another row says, it locks that row: several processes write at the same time.

mod accounts;
mod audit_trail;
mod closings;
mod mail_tokens;
mod notifications;
mod rows;
mod sessions;
mod signing_keys;

use messaging::Wake;
use sqlx::migrate::Migrator;

use crate::app::ports::StoreError;

/// The schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    pool: postgres::Pool,
    wake: Wake,
}

impl PostgresStore {
    /// Stores in a database whose schema is [`MIGRATIONS`]; `wake` tells the relay of new events.
    pub fn new(pool: postgres::Pool, wake: Wake) -> Self {
        Self { pool, wake }
    }
}

/// What the use cases may know of an error: whether asking again may help.
fn store_error(error: sqlx::Error) -> StoreError {
    if postgres::is_unavailable(&error) {
        StoreError::Unavailable(error.into())
    } else {
        StoreError::Failed(error.into())
    }
}
