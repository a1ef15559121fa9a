//! Opens connections, and makes a database that is missing.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgPoolOptions};
use tokio_util::task::TaskTracker;

use crate::{
    Error, Pool,
    hosts::{Hosts, is_writable},
};

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

/// The one encoding that stores every text.
const ENCODING: &str = "UTF8";

/// PostgreSQL's code for a database that is there already.
const DUPLICATE_DATABASE: &str = "42P04";

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
