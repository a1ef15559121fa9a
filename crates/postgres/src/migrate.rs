//! Brings a schema up to date, or makes sure that somebody has.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Postgres, migrate::Migrator};

use crate::{Error, Pool};

/// The history of a service's own migrations.
pub const HISTORY: &str = "_sqlx_migrations";
/// Migrations have no limits but that of the wait for a table.
const NO_TIMEOUT: &str = "SET statement_timeout = 0";
/// Held by whoever migrates; any number will do, as long as all take the same one.
const LOCK: &str = "SELECT pg_try_advisory_lock(8390884995793511681)";
/// A connection that is nobody else's.
type Session<'c> = sql::Connection<Postgres, &'c mut PgConnection>;

/// How long a process that waits for the lock waits before it asks again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// PostgreSQL's codes for a table and a schema that are not there.
const UNKNOWN: [&str; 2] = ["42P01", "3F000"];
/// Brings the schema up to date; of several processes one does it and the others wait (an advisory lock).
///
/// What was applied is recorded in the table `history`: [`HISTORY`] for a service's own tables, another name for what
/// lives beside them, `schema.table` for what has a schema of its own, which is made. A migration runs once, so that a
/// start takes no lock that the processes at work would have to wait for. It may take any time; for a table's lock it
/// waits as long as everybody else, for behind it all others wait too.
///
/// The lock is the session's: connect to the server itself, not through a pooler in transaction mode.
///
/// An older binary keeps working on a newer schema: migrations that it does not know are left alone.
///
/// # Errors
///
/// When a migration fails, or one that was applied has been changed since.
pub async fn migrate(pool: &Pool, migrations: &Migrator, history: &'static str) -> Result<(), Error> {
    let mut known = Migrator::with_migrations(migrations.iter().cloned().collect());
    known.set_ignore_missing(true).set_locking(false).dangerous_set_table_name(history);
    if let Some((schema, _)) = history.split_once('.') {
        known.create_schema(schema);
    }
    // A session of its own: what it sets and locks ends with it, however it ends.
    let mut connection = PgConnection::connect_with(&pool.raw().connect_options()).await.map_err(Error::Connect)?;
    let mut session = Session::new(&mut connection);
    take_migration_lock(&mut session).await.map_err(|error| Error::Migrate(error.into()))?;
    // `run` is not general enough for a future that moves between threads (`Acquire` of a borrowed connection).
    known.run_direct(None, &mut session, false).await.map_err(Error::Migrate)?;
    connection.close().await.map_err(Error::Connect)
}

/// Asks again and again: a statement that waits would stay on the server when its client is gone, and hold back what
/// waits for all snapshots (`VACUUM`, `CREATE INDEX CONCURRENTLY`).
async fn take_migration_lock(session: &mut Session<'_>) -> Result<(), sqlx::Error> {
    session.execute(NO_TIMEOUT).await?;
    while !sqlx::query_scalar(LOCK).fetch_one(&mut *session).await? {
        tokio::time::sleep(RETRY_AFTER).await;
    }
    Ok(())
}

/// Makes sure that somebody has brought the schema up to date.
///
/// # Errors
///
/// [`Error::Outdated`] when nobody has; when the history cannot be read.
pub async fn check(pool: &Pool, migrations: &Migrator, history: &'static str) -> Result<(), Error> {
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let query = AssertSqlSafe(format!("SELECT max(version) FROM {history} WHERE success"));
    let applied: Option<i64> = match sqlx::query_scalar(query).fetch_one(pool).await {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| UNKNOWN.contains(&&*code)) => None,
        applied => applied.map_err(Error::Connect)?,
    };
    if applied.unwrap_or_default() >= newest { Ok(()) } else { Err(Error::Outdated) }
}
