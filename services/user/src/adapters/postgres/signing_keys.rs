//! Signing keys.

use async_trait::async_trait;
use sqlx::{
    Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use time::OffsetDateTime;

use super::{PostgresStore, audit_trail::insert_entry, store_error};
use crate::app::{
    ports::{AuditEntry, SigningKeys, StoreError, StoredKey},
    unreadable,
};

#[async_trait]
impl SigningKeys for PostgresStore {
    async fn all(&self) -> Result<Vec<StoredKey>, StoreError> {
        let sql = "SELECT kid, predecessor, pkcs8, used_from FROM signing_keys ORDER BY used_from";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(key).collect()).map_err(store_error)
    }

    async fn add(&self, key: &StoredKey, entry: Option<&AuditEntry>) -> Result<(), StoreError> {
        let sql = "INSERT INTO signing_keys (kid, predecessor, pkcs8, used_from) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (predecessor) DO NOTHING";
        let query =
            sqlx::query(sql).bind(&key.kid).bind(&key.predecessor).bind(key.pkcs8.as_slice()).bind(key.used_from);
        self.change_keys(query, entry).await.map_err(store_error)
    }

    async fn expedite(&self, kid: &str, used_from: OffsetDateTime, entry: &AuditEntry) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE signing_keys SET used_from = $2 WHERE kid = $1 AND used_from > $2");
        self.change_keys(query.bind(kid).bind(used_from), Some(entry)).await.map_err(store_error)
    }

    async fn remove(&self, kid: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM signing_keys WHERE kid = $1").bind(kid);
        query.execute(&self.pool).await.map(drop).map_err(store_error)
    }
}

impl PostgresStore {
    /// Stores the entry with what the statement changes, if that is anything.
    async fn change_keys(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
        entry: Option<&AuditEntry>,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let done = statement.execute(&mut *tx).await?;
        if let Some(entry) = entry.filter(|_| done.rows_affected() == 1) {
            insert_entry(&mut tx, entry).await?;
        }
        tx.commit().await
    }
}

/// One that cannot be read signs nothing, and keeps its place: whoever makes the next key has to know the last one.
fn key(row: &PgRow) -> Result<StoredKey, sqlx::Error> {
    let (kid, predecessor): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let secret = row.try_get(2).and_then(|pkcs8| Ok((pkcs8, postgres::time(row, 3)?)));
    let (pkcs8, used_from) = secret.unwrap_or_else(|error| {
        unreadable::note("signing key", &kid, &error);
        (Vec::new(), OffsetDateTime::UNIX_EPOCH)
    });
    Ok(StoredKey { kid, predecessor, pkcs8, used_from })
}
