//! Locks that live and die with a transaction of PostgreSQL.
//!
//! Where the data that a lock protects is in one PostgreSQL database, this is the strongest lock there is: the lock and
//! the writes end in the same instant, so nobody can write late, and there is no lease, no fence and nothing to renew.
//! It is an advisory lock of the transaction (`pg_advisory_xact_lock`, PostgreSQL 13.3.5), never of the session: a pool,
//! or pgbouncer in transaction mode, would hand a session's lock on to somebody else.
//!
//! Names share 64 bits: of a billion locks held at the same time two collide with a probability of 3 %, and then wait
//! for each other, which is slow and not wrong.

use std::time::Duration;

use ::lock::Error;
use sqlx::PgExecutor;

use crate::Connection;

/// PostgreSQL's code for a wait that was longer than `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Takes the lock for the rest of the transaction if it is free right now; it may be taken again in it.
///
/// # Errors
///
/// Returns [`Error::Unavailable`] when PostgreSQL fails.
pub async fn try_lock(tx: &mut Connection, name: &str) -> Result<bool, Error> {
    let taken = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))");
    taken.bind(name).fetch_one(&mut *tx).await.map_err(unavailable)
}

/// Takes the lock for the rest of the transaction, in the order of asking, waiting for at most `wait`; less than the 8 s that
/// the server may take to answer.
///
/// The transaction can be used as before when the wait was in vain, and its timeouts are as before in any case.
///
/// # Errors
///
/// Returns [`Error::Busy`] when the wait was in vain, and [`Error::Unavailable`] when PostgreSQL fails, which it also
/// does with those who wait for each other.
pub async fn lock(tx: &mut Connection, name: &str, wait: Duration) -> Result<(), Error> {
    if try_lock(tx, name).await? {
        return Ok(());
    }
    let wait = wait.as_millis().max(1);
    let (before, statement): (String, String) =
        sqlx::query_as("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            .fetch_one(&mut *tx)
            .await
            .map_err(unavailable)?;
    let mut waiting = tx.savepoint().await.map_err(unavailable)?;
    limit(&mut *waiting, &format!("{wait}ms"), &format!("{}ms", wait + 1000)).await?;
    let locked = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(name);
    match locked.execute(&mut *waiting).await {
        Ok(_) => {
            limit(&mut *waiting, &before, &statement).await?;
            waiting.release().await.map_err(unavailable)
        }
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            // Back to the savepoint, and to the timeouts of before.
            waiting.rollback().await.map_err(unavailable)?;
            Err(Error::Busy { name: name.to_owned() })
        }
        Err(error) => Err(unavailable(error)),
    }
}

async fn limit(connection: impl PgExecutor<'_>, lock: &str, statement: &str) -> Result<(), Error> {
    sqlx::query("SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)")
        .bind(lock)
        .bind(statement)
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(())
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(error.into())
}
