//! Why a database cannot be opened.

use sqlx::migrate::MigrateError;

/// A database that cannot be opened. Nothing of its address is shown, for that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error(
        "no PostgreSQL address: write postgres://USER@HOST/DATABASE?sslmode=verify-full, or postgres://USER@A,B/DATABASE"
    )]
    Url(#[source] sqlx::Error),
    /// The URL wants a server that takes no writes.
    #[error("target_session_attrs wants a server that takes no writes: leave it out, or write read-write")]
    Wanted,
    /// The server does not let us in, or is not there.
    #[error("cannot connect to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    /// The database cannot store every text.
    #[error(
        "the database is encoded in {0} and cannot store every name: make one with ENCODING 'UTF8' TEMPLATE template0 and move \
         its content there"
    )]
    Encoding(String),
    /// The server lets us in and takes no writes.
    #[error("PostgreSQL is read-only, or follows another server")]
    ReadOnly,
    /// The server takes writes, and has no room for them.
    #[error("PostgreSQL cannot store anything: make room on its disk")]
    NoRoom(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema up to date")]
    Migrate(#[source] MigrateError),
    /// Somebody else has been bringing it up to date for too long.
    #[error(
        "the schema is being brought up to date by session {0}: wait for it, or end it with SELECT pg_terminate_backend(PID)"
    )]
    Migrating(String),
    /// Nobody has, and this process may not.
    #[error(
        "the schema is older than this program: run its subcommand `migrate` first, or set database.migrate = true"
    )]
    Outdated,
}
