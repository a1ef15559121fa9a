//! Brings a schema up to date, or makes sure that somebody has.

use std::{fmt, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Postgres, SqlSafeStr as _,
    migrate::{Migration, Migrator},
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use crate::{Error, Pool};

/// The history of a service's own migrations.
pub const HISTORY: &str = "_sqlx_migrations";
/// Held by whoever migrates; any number will do, as long as all take the same one. Older programs hold it as a session's lock,
/// which keeps out a transaction's.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(8390884995793511681)";
/// Who holds that lock: a key of 64 bits stands there in two halves, with a 1 beside them.
const HOLDER: &str = "SELECT l.pid, coalesce(a.application_name, '') AS application,
        coalesce(a.xact_start, a.backend_start) AS since
    FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = 8390884995793511681
    LIMIT 1";
/// Whoever waits or migrates does nothing in the transaction that holds the lock.
const MAY_BE_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";
/// Migrations have no limits but that of the wait for a table.
const NO_TIMEOUT: &str = "SET LOCAL statement_timeout = 0;";

/// How long a process that waits for the lock waits before it asks again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How long it waits in all.
const PATIENCE: Duration = Duration::from_mins(5);

/// PostgreSQL's codes for a table and a schema that are not there.
const UNKNOWN: [&str; 2] = ["42P01", "3F000"];

/// The session that holds the migrations' lock.
#[derive(sqlx::FromRow)]
struct Holder {
    pid: i32,
    application: String,
    since: Option<OffsetDateTime>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`", self.pid, self.application)?;
        self.since.map_or(Ok(()), |since| write!(f, ", since {since}"))
    }
}

/// Brings the schema up to date; of several processes one does it and the others wait for 5 min at most (an advisory lock), and
/// say for whom.
///
/// What was applied is recorded in the table `history`: [`HISTORY`] for a service's own tables, another name for what
/// lives beside them, `schema.table` for what has a schema of its own, which is made. A migration runs once, so that a
/// start takes no lock that the processes at work would have to wait for. It may take any time; for a table's lock it
/// waits as long as everybody else, for behind it all others wait too.
///
/// An older binary keeps working on a newer schema: migrations that it does not know are left alone.
///
/// # Errors
///
/// When a migration fails, or one that was applied has been changed since; [`Error::Migrating`] when the wait was in vain.
pub async fn migrate(pool: &Pool, migrations: &Migrator, history: &'static str) -> Result<(), Error> {
    let mut known = Migrator::with_migrations(migrations.iter().cloned().map(without_timeout).collect());
    known.set_ignore_missing(true).set_locking(false).dangerous_set_table_name(history);
    if let Some((schema, _)) = history.split_once('.') {
        known.create_schema(schema);
    }
    let options = pool.raw().connect_options();
    // Nothing is locked or set but in a transaction: a pooler in transaction mode would hand on what is the session's.
    let mut turn = PgConnection::connect_with(&options).await.map_err(Error::Connect)?;
    let mut taken = turn.begin().await.map_err(Error::Connect)?;
    take_turn(&mut taken).await?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(Error::Connect)?;
    let mut session = sql::Connection::<Postgres, _>::new(&mut connection);
    // `run` is not general enough for a future that moves between threads (`Acquire` of a borrowed connection).
    known.run_direct(None, &mut session, false).await.map_err(Error::Migrate)?;
    connection.close().await.map_err(Error::Connect)?;
    taken.commit().await.map_err(Error::Connect)?;
    turn.close().await.map_err(Error::Connect)
}

/// The same migration, which may take any time. What is remembered of it stays as it is.
fn without_timeout(mut migration: Migration) -> Migration {
    if !migration.no_tx {
        migration.sql = AssertSqlSafe(format!("{NO_TIMEOUT}\n{}", migration.sql.as_str())).into_sql_str();
    }
    migration
}

/// Asks again and again: a statement that waits would stay on the server when its client is gone, and hold back what
/// waits for all snapshots (`VACUUM`, `CREATE INDEX CONCURRENTLY`).
async fn take_turn(transaction: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(MAY_BE_IDLE).execute(&mut *transaction).await.map_err(Error::Connect)?;
    let (asked, mut say_after) = (Instant::now(), Duration::ZERO);
    while !sqlx::query_scalar(LOCK).fetch_one(&mut *transaction).await.map_err(Error::Connect)? {
        let waited = asked.elapsed();
        if waited >= say_after {
            // At once, and then at growing intervals. None where it has just let go.
            let holder: Option<Holder> =
                sqlx::query_as(HOLDER).fetch_optional(&mut *transaction).await.map_err(Error::Connect)?;
            if let Some(holder) = holder {
                if waited >= PATIENCE {
                    return Err(Error::Migrating(holder.to_string()));
                }
                tracing::warn!(%holder, ?waited, "another process brings the schema up to date: waiting for it");
                say_after = (waited * 2).clamp(Duration::from_secs(1), PATIENCE);
            }
        }
        sleep(RETRY_AFTER).await;
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
