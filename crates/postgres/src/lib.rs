#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod connect;
mod error;
mod health;
mod hosts;
mod lock;
mod migrate;
mod outbox;
mod times;

pub use connect::{connect, create};
pub use error::Error;
pub use health::ping;
pub use lock::{lock, try_lock};
pub use migrate::{HISTORY, check, migrate};
pub use outbox::{Outbox, bind_events, bind_receipt, is_duplicate, open, published, received, record};
pub use times::{optional_time, time};

use sqlx::{Postgres, postgres::PgDatabaseError};

/// A pool whose statements are measured.
pub type Pool = sql::Pool<Postgres>;
/// A connection whose statements are measured.
pub type Connection = sql::Connection<Postgres>;
/// A transaction whose statements are measured.
pub type Transaction = sql::Transaction<Postgres>;

/// Says whether the failure is a broken UNIQUE or PRIMARY KEY constraint.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Says whether the same call may work later: the server is away, ending, takes no writes or lets nobody in, a limit was
/// reached, two transactions were in each other's way, or the connection is not what it was.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed => true,
        // Classes and codes of PostgreSQL's appendix A: 08 connection, 28 authorization, 40 rollback, 53 resources,
        // 57 operator, 58 system; 55P03 lock not available, 25P02 failed transaction, 25P03 idle in transaction,
        // 25P04 transaction timeout, 25006 read only, 3D000 no such database, 0A000 a cached plan whose columns have changed,
        // 26000 no such prepared statement, 42P05 one that is there already, 42501 a privilege that was taken away.
        sqlx::Error::Database(error) => error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
            let code = error.code();
            matches!(code.get(..2), Some("08" | "28" | "40" | "53" | "57" | "58"))
                || matches!(
                    code,
                    "55P03" | "25P02" | "25P03" | "25P04" | "25006" | "3D000" | "0A000" | "26000" | "42P05" | "42501"
                )
        }),
        _ => false,
    }
}
