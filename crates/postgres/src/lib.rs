//! Opens a PostgreSQL database with safe settings.
//!
//! ```no_run
//! # async fn example(migrations: &sqlx::migrate::Migrator) -> Result<(), postgres::Error> {
//! let database = postgres::connect("postgres://user@localhost/user", "user").await?;
//! postgres::migrate(&database, migrations, postgres::HISTORY).await?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions},
};

/// Connections of one process. A statement holds one for about a millisecond, so ten serve some thousand a second, and
/// ten replicas of three services still fit twice into a small server's limit of 100 with a pooler in between.
const CONNECTIONS: u32 = 10;
/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// What a session may not exceed: one statement, one wait for a lock, one transaction that does nothing.
///
/// They are sent when a connection starts. Behind pgbouncer set them on the role instead
/// (`ALTER ROLE … SET statement_timeout = …`) and let it ignore the parameter `options`; prepared statements survive its
/// transaction mode from 1.21 on with `max_prepared_statements` above 0.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "10s")];

/// The history of a service's own migrations.
pub const HISTORY: &str = "_sqlx_migrations";
/// Migrations have no limits but that of the wait for a table.
const MIGRATING: &str = "SET statement_timeout = 0";
/// Held by whoever migrates; any number will do, as long as all take the same one.
const TURN: &str = "SELECT pg_try_advisory_lock(8390884995793511681)";
/// How often who waits for its turn asks.
const ASK: Duration = Duration::from_millis(200);

/// PostgreSQL's codes for a table and a schema that are not there.
const UNKNOWN: [&str; 2] = ["42P01", "3F000"];
/// PostgreSQL's code for a database that is there already.
const DUPLICATE_DATABASE: &str = "42P04";

/// A database that cannot be opened. Nothing of its address is shown, for that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("no PostgreSQL address: write postgres://USER@HOST/DATABASE?sslmode=verify-full")]
    Url(#[source] sqlx::Error),
    /// The server does not let us in, or is not there.
    #[error("cannot connect to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema up to date")]
    Migrate(#[source] MigrateError),
    /// Nobody has, and this process may not.
    #[error(
        "the schema is older than this program: run its subcommand `migrate` first, or set database.migrate = true"
    )]
    Behind,
}

/// Connects.
///
/// # Errors
///
/// When the URL or the server cannot be used.
pub async fn connect(url: &str, name: &str) -> Result<PgPool, Error> {
    let options: PgConnectOptions = url.parse().map_err(Error::Url)?;
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(WAIT)
        .connect_with(options.application_name(name).options(LIMITS))
        .await
        .map_err(Error::Connect)
}

/// Makes the database that the URL names, where there is none.
///
/// # Errors
///
/// When the URL or the server cannot be used, or its user may not make databases.
pub async fn create(url: &str) -> Result<(), Error> {
    let options: PgConnectOptions = url.parse().map_err(Error::Url)?;
    let name = options.get_database().unwrap_or("postgres").replace('"', "\"\"");
    let mut admin = PgConnection::connect_with(&options.database("postgres")).await.map_err(Error::Connect)?;
    // PostgreSQL takes no parameter here: the name is quoted.
    let made = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut admin).await;
    match made {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DUPLICATE_DATABASE) => Ok(()),
        made => made.map(drop).map_err(Error::Connect),
    }
}

/// Brings the schema up to date; of several processes one does it and the others wait (an advisory lock).
///
/// What was applied is remembered in the table `history`: [`HISTORY`] for a service's own tables, another name for what
/// lives beside them, `schema.table` for what has a schema of its own, which is made. A migration runs once, so that a
/// start takes no lock that the processes at work would have to wait for. It may take any time; for a table's lock it
/// waits as long as everybody else, for behind it all others wait too.
///
/// The turn is the session's: connect to the server itself, not through a pooler in transaction mode.
///
/// An older binary keeps working on a newer schema: migrations that it does not know are left alone.
///
/// # Errors
///
/// When a migration fails, or one that was applied has been changed since.
pub async fn migrate(pool: &PgPool, migrations: &Migrator, history: &'static str) -> Result<(), Error> {
    let mut known = Migrator::with_migrations(migrations.iter().cloned().collect());
    known.set_ignore_missing(true).set_locking(false).dangerous_set_table_name(history);
    if let Some((schema, _)) = history.split_once('.') {
        known.create_schema(schema);
    }
    // A session of its own: what it sets and locks ends with it, however it ends.
    let mut session = PgConnection::connect_with(&pool.connect_options()).await.map_err(Error::Connect)?;
    wait_for_turn(&mut session).await.map_err(|error| Error::Migrate(error.into()))?;
    // `run` is not general enough for a future that moves between threads (`Acquire` of a borrowed connection).
    known.run_direct(None, &mut session, false).await.map_err(Error::Migrate)?;
    session.close().await.map_err(Error::Connect)
}

/// Asks again and again: a statement that waits would stay on the server when its client is gone, and hold back what
/// waits for all snapshots (`VACUUM`, `CREATE INDEX CONCURRENTLY`).
async fn wait_for_turn(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    session.execute(MIGRATING).await?;
    while !sqlx::query_scalar(TURN).fetch_one(&mut *session).await? {
        tokio::time::sleep(ASK).await;
    }
    Ok(())
}

/// Makes sure that somebody has brought the schema up to date.
///
/// # Errors
///
/// [`Error::Behind`] when nobody has; when the history cannot be read.
pub async fn check(pool: &PgPool, migrations: &Migrator, history: &'static str) -> Result<(), Error> {
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let query = AssertSqlSafe(format!("SELECT max(version) FROM {history} WHERE success"));
    let applied: Option<i64> = match sqlx::query_scalar(query).fetch_one(pool).await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| UNKNOWN.contains(&&*code)) => None,
        applied => applied.map_err(Error::Connect)?,
    };
    if applied.unwrap_or_default() >= newest { Ok(()) } else { Err(Error::Behind) }
}

/// Asks the server whether it answers, for the health check.
///
/// # Errors
///
/// It does not.
pub async fn ping(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(pool).await.map(drop)
}

/// Says whether the failure is a broken UNIQUE or PRIMARY KEY constraint.
pub fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Says whether the same call may work later: the server is away or ending, a limit was reached, or two transactions
/// were in each other's way.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Classes and codes of PostgreSQL's appendix A: 08 connection, 40 rollback, 53 resources, 57 operator,
        // 55P03 lock not available, 25P03 idle in transaction.
        sqlx::Error::Database(error) => error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
            let code = error.code();
            matches!(code.get(..2), Some("08" | "40" | "53" | "57")) || matches!(code, "55P03" | "25P03")
        }),
        _ => false,
    }
}
