//! Signing keys.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use time::OffsetDateTime;

use super::{PostgresStore, store_error};
use crate::app::ports::{SigningKeys, StoreError, StoredKey};

#[async_trait]
impl SigningKeys for PostgresStore {
    async fn all(&self) -> Result<Vec<StoredKey>, StoreError> {
        let sql = "SELECT kid, predecessor, pkcs8, used_from FROM signing_keys ORDER BY used_from";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(key).collect()).map_err(store_error)
    }

    async fn add(&self, key: &StoredKey) -> Result<(), StoreError> {
        let sql = "INSERT INTO signing_keys (kid, predecessor, pkcs8, used_from) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (predecessor) DO NOTHING";
        let query =
            sqlx::query(sql).bind(&key.kid).bind(&key.predecessor).bind(key.pkcs8.as_slice()).bind(key.used_from);
        query.execute(&self.pool).await.map(drop).map_err(store_error)
    }

    async fn expedite(&self, kid: &str, used_from: OffsetDateTime) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE signing_keys SET used_from = least(used_from, $2) WHERE kid = $1");
        query.bind(kid).bind(used_from).execute(&self.pool).await.map(drop).map_err(store_error)
    }

    async fn remove(&self, kid: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM signing_keys WHERE kid = $1").bind(kid);
        query.execute(&self.pool).await.map(drop).map_err(store_error)
    }
}

fn key(row: &PgRow) -> Result<StoredKey, sqlx::Error> {
    Ok(StoredKey {
        kid: row.try_get(0)?,
        predecessor: row.try_get(1)?,
        pkcs8: row.try_get(2)?,
        used_from: row.try_get(3)?,
    })
}
