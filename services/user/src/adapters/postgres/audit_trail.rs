//! What operators did.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{PostgresStore, store_error};
use crate::{
    adapters::columns::decode_error,
    app::{
        ports::{AuditEntry, AuditTrail, StoreError},
        unreadable,
    },
    domain::UserId,
};

#[async_trait]
impl AuditTrail for PostgresStore {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<Result<AuditEntry, Uuid>>, StoreError> {
        // A bound in any case: with a choice of bounds the server reads from the youngest on.
        let sql =
            "SELECT id, at, actor, action, subject, detail FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2";
        let before = after.unwrap_or(Uuid::max());
        let rows = sqlx::query(sql).bind(before).bind(i64::from(limit)).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(readable_entry).collect()).map_err(store_error)
    }
}

/// Adds an entry, in the transaction of what it tells of.
pub(super) async fn insert_entry(tx: &mut postgres::Connection, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO audit_log (id, at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(entry.id)
        .bind(entry.at)
        .bind(entry.actor.map(|id| id.0))
        .bind(entry.action.as_str())
        .bind(entry.subject.map(|id| id.0))
        .bind(&entry.detail)
        .execute(tx)
        .await
        .map(drop)
}

/// Reads an entry; where this version does not know it, its id.
fn readable_entry(row: &PgRow) -> Result<Result<AuditEntry, Uuid>, sqlx::Error> {
    let id: Uuid = row.try_get(0)?;
    Ok(entry(row).map_err(|error| {
        unreadable::note("audit entry", &id.to_string(), &error);
        id
    }))
}

fn entry(row: &PgRow) -> Result<AuditEntry, sqlx::Error> {
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at: postgres::time(row, 1)?,
        actor: row.try_get::<Option<Uuid>, _>(2)?.map(UserId),
        action: row.try_get::<&str, _>(3)?.parse().map_err(decode_error)?,
        subject: row.try_get::<Option<Uuid>, _>(4)?.map(UserId),
        detail: row.try_get(5)?,
    })
}
