//! Orders, products and closing accounts on `SQLite`.
//!
//! One connection writes, so a command is one `BEGIN IMMEDIATE` transaction
//! that holds everything the command promises.

mod accounts;
mod audit;
mod orders;
mod products;
mod rows;
mod search;

use messaging::{Effects, Wake};
use sqlite::Database;

use crate::app::ports::StoreError;

/// The schema.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations/sqlite");

/// The store. All the ports of one database.
#[derive(Clone)]
pub struct SqliteStore {
    database: Database,
    wake: Wake,
}

impl SqliteStore {
    /// A store on an open database; `wake` tells the relay of new events.
    pub fn new(database: Database, wake: Wake) -> Self {
        Self { database, wake }
    }

    /// Commits what was recorded, and tells the relay.
    async fn commit(&self, tx: sqlite::Transaction, effects: &Effects) -> Result<(), StoreError> {
        tx.commit().await?;
        if !effects.events.is_empty() {
            self.wake.poke();
        }
        Ok(())
    }
}

/// Opens the database and brings its schema, outbox and inbox included, up to date.
///
/// # Errors
/// The file cannot be opened or migrated.
pub async fn open(url: &str) -> anyhow::Result<Database> {
    let database = sqlite::open(url, &MIGRATIONS).await?;
    sqlite::prepare(&database).await?;
    Ok(database)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if sqlite::is_unavailable(&error) { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}

/// A stored value that this service would not have written.
#[derive(Debug, thiserror::Error)]
#[error("the stored {0} is not valid")]
struct Corrupt(&'static str);

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Failed(Corrupt(what).into())
}
