//! What operators did.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    SqliteStore,
    rows::{optional_uuid, time, uuid},
    store_error,
};
use crate::{
    adapters::columns::decode_error,
    app::{
        ports::{AuditEntry, AuditTrail, StoreError},
        unreadable,
    },
    domain::UserId,
};

/// A bound in any case: with a choice of bounds the log would be read from the youngest on.
const LIST: &str =
    "SELECT id, at, actor, action, subject, detail FROM audit_log WHERE id < ?1 ORDER BY id DESC LIMIT ?2";

#[async_trait]
impl AuditTrail for SqliteStore {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<Result<AuditEntry, Uuid>>, StoreError> {
        let before = after.unwrap_or(Uuid::max());
        let rows = sqlx::query(LIST).bind(before.as_bytes().as_slice()).bind(limit).fetch_all(&self.db.read).await;
        rows.and_then(|rows| rows.iter().map(readable_entry).collect()).map_err(store_error)
    }
}

/// Adds an entry, in the transaction of what it tells of.
pub(super) async fn insert_entry(tx: &mut sqlite::Connection, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO audit_log (id, at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(sql)
        .bind(entry.id.as_bytes().as_slice())
        .bind(clock::micros(entry.at))
        .bind(entry.actor.map(|id| id.0.as_bytes().to_vec()))
        .bind(entry.action.as_str())
        .bind(entry.subject.map(|id| id.0.as_bytes().to_vec()))
        .bind(&entry.detail)
        .execute(tx)
        .await
        .map(drop)
}

/// Reads an entry; where this version does not know it, its id.
fn readable_entry(row: &SqliteRow) -> Result<Result<AuditEntry, Uuid>, sqlx::Error> {
    let id: Uuid = uuid(row, 0)?;
    Ok(entry(row).map_err(|error| {
        unreadable::note("audit entry", &id.to_string(), &error);
        id
    }))
}

fn entry(row: &SqliteRow) -> Result<AuditEntry, sqlx::Error> {
    let user = |index| optional_uuid(row, index).map(|id| id.map(UserId));
    Ok(AuditEntry {
        id: uuid(row, 0)?,
        at: time(row, 1)?,
        actor: user(2)?,
        action: row.try_get::<String, _>(3)?.parse().map_err(decode_error)?,
        subject: user(4)?,
        detail: row.try_get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::sqlite::MIGRATIONS;

    #[tokio::test]
    async fn entries_that_are_younger_are_not_looked_through() {
        let database = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {LIST}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&database.read).await.unwrap();
        assert!(plan.iter().any(|(.., step)| step.contains("(id<?)")), "{plan:?}");
    }
}
