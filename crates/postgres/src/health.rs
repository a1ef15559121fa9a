//! The health check.

use std::{future::pending, time::Duration};

use sqlx::error::DatabaseError;
use tokio::time::sleep;

use crate::{Error, Pool, hosts::WRITABLE};

/// After how long a check that has no answer asks why, which whoever reads it does not wait for as long as the pool does.
const PATIENCE: Duration = Duration::from_millis(400);
/// What a sort may use of memory: the least that the server lets one have.
const MEMORY: &str = "SET LOCAL work_mem = '64kB'";
/// A sort of half a megabyte: what does not fit in memory goes to a file on the disk of the tables, which is removed afterwards.
/// That needs no privilege and leaves nothing.
const SORT: &str = "SELECT count(*) FROM (SELECT md5(n::text) AS word FROM generate_series(1, 8192) AS n ORDER BY word OFFSET 1) AS sorted";

/// Asks the server whether it answers, takes writes, and, where a statement has failed since it was asked last, has room for
/// them, for the health check.
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
    if !writable.map_err(Error::Connect)? {
        return Err(Error::ReadOnly);
    }
    if !pool.take_doubt() {
        return Ok(());
    }
    has_room(pool).await.map_err(|error| {
        pool.doubt();
        if is_out_of_room(&error) { Error::NoRoom(error) } else { Error::Connect(error) }
    })
}

/// Of PostgreSQL's appendix A a full disk, and the limit of temporary files; other resources, such as connections, are no room.
fn is_out_of_room(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "53100" | "53400"))
}

async fn has_room(pool: &Pool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query(MEMORY).execute(&mut *tx).await?;
    sqlx::query(SORT).execute(&mut *tx).await?;
    tx.rollback().await
}
