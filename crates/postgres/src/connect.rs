//! Opens connections, and makes a database that is missing.

use std::{future::pending, io, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::MigrateError, postgres::PgPoolOptions};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::{Pool, hosts::Hosts};

/// Connections of one process. A statement holds one for about a millisecond, so ten serve some thousand a second, and
/// ten replicas of three services still fit twice into a small server's limit of 100 with a pooler in between.
const CONNECTIONS: u32 = 10;
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a session may not exceed: one statement, one wait for a lock, one transaction that does nothing.
///
/// They are sent when a connection starts. Behind pgbouncer set them on the role instead
/// (`ALTER ROLE … SET statement_timeout = …`) and let it ignore the parameter `options`; prepared statements survive its
/// transaction mode from 1.21 on with `max_prepared_statements` above 0.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "10s")];

/// How long a server may take to answer a statement: longer than it may work on one, or its answer was lost on the way.
const ANSWER: Duration = Duration::from_secs(8);
/// How long a connection that was idle may take to answer; the network may have forgotten it.
const CHECK: Duration = Duration::from_secs(1);

/// The one encoding that stores every text.
const ENCODING: &str = "UTF8";

/// Also false on a server that follows another.
const WRITABLE: &str = "SELECT current_setting('transaction_read_only') = 'off'";

/// After how long a check that has no answer asks why, which whoever reads it does not wait for as long as the pool does.
const PATIENCE: Duration = Duration::from_millis(400);

/// PostgreSQL's code for a database that is there already.
const DUPLICATE_DATABASE: &str = "42P04";

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

/// Connects. Of several servers (`postgres://a,b/…`) the one that takes writes is used, and another one from the moment
/// that it does.
///
/// # Errors
///
/// When the URL or the server cannot be used, or the database has another encoding than UTF-8.
pub async fn connect(url: &str, name: &str) -> Result<Pool, Error> {
    let hosts = Hosts::parse(url)?.with(|server| server.application_name(name).options(LIMITS));
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Instead of a ping, which costs the same and does not notice that a server takes no writes any more: its address
        // may be another's by now, so the connection goes, and the next one asks for the address again.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_writable(connection)))
        .connect_with(hosts.any().await.map_err(Error::Connect)?)
        .await
        .map_err(Error::Connect)?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&pool).await.map_err(Error::Connect)?;
    if encoding != ENCODING {
        return Err(Error::Encoding(encoding));
    }
    if hosts.are_several() {
        // It ends when the pool is closed.
        TaskTracker::new().spawn(hosts.follow(pool.clone()));
    }
    Ok(Pool::new(pool, name.to_owned()).with_limit(ANSWER))
}

pub(crate) async fn is_writable(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let answer = tokio::time::timeout(CHECK, sqlx::query_scalar(WRITABLE).fetch_one(connection)).await;
    answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Makes the database that the URL names, where there is none.
///
/// # Errors
///
/// When the URL or the server cannot be used, or its user may not make databases.
pub async fn create(url: &str) -> Result<(), Error> {
    let hosts = Hosts::parse(url)?;
    let name = hosts.database().unwrap_or("postgres").replace('"', "\"\"");
    let server = hosts.with(|server| server.database("postgres")).any().await.map_err(Error::Connect)?;
    let mut admin = PgConnection::connect_with(&server).await.map_err(Error::Connect)?;
    // PostgreSQL takes no parameter here: the name is quoted.
    // The template that the others come from may have another encoding.
    let create = format!("CREATE DATABASE \"{name}\" ENCODING '{ENCODING}' TEMPLATE template0");
    match sqlx::query(AssertSqlSafe(create)).execute(&mut admin).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DUPLICATE_DATABASE) => Ok(()),
        created => created.map(drop).map_err(Error::Connect),
    }
}

/// Asks the server whether it answers and takes writes, for the health check.
///
/// # Errors
///
/// It does not.
pub async fn ping(pool: &Pool) -> Result<(), Error> {
    let refusal = async {
        sleep(PATIENCE).await;
        match pool.refusal().await {
            Some(refusal) => refusal,
            None => pending().await,
        }
    };
    let writable: Result<bool, _> = tokio::select! {
        answer = sqlx::query_scalar(WRITABLE).fetch_one(pool) => answer,
        refusal = refusal => Err(refusal),
    };
    if writable.map_err(Error::Connect)? { Ok(()) } else { Err(Error::ReadOnly) }
}
