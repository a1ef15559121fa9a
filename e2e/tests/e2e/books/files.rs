//! Embedded defaults: databases in files.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

use super::Told;

pub(crate) struct Files {
    data: PathBuf,
    bus: SqlitePool,
    order: SqlitePool,
}

impl Files {
    pub(super) async fn open(data: &Path) -> Result<Self> {
        let read = async |name| {
            SqlitePool::connect_with(SqliteConnectOptions::new().filename(data.join(name)).read_only(true)).await
        };
        Ok(Self { data: data.to_owned(), bus: read("bus.db").await?, order: read("order.db").await? })
    }

    pub(super) async fn orders(&self) -> Result<u64> {
        count(&self.order, "SELECT count(*) FROM orders").await
    }

    pub(super) async fn waiting_and_dead(&self) -> Result<(u64, u64)> {
        let waiting = count(&self.bus, "SELECT count(*) FROM pending").await?;
        Ok((waiting, count(&self.bus, "SELECT count(*) FROM dead").await?))
    }

    pub(super) async fn redeliver(&self) -> Result<u64> {
        let options =
            SqliteConnectOptions::new().filename(self.data.join("bus.db")).busy_timeout(Duration::from_secs(10));
        let done = sqlx::query(
            "INSERT INTO pending (grp, place, key, head, visible_at)
            SELECT s.grp, l.place, l.key, 1, 0 FROM log l JOIN subscriptions s ON s.kind = l.kind
            WHERE true ORDER BY l.place",
        )
        .execute(&SqlitePool::connect_with(options).await?)
        .await?;
        Ok(done.rows_affected())
    }

    pub(super) async fn events(&self) -> Result<Vec<Told>> {
        let events: Vec<(String, Vec<u8>)> = sqlx::query_as("SELECT kind, data FROM log").fetch_all(&self.bus).await?;
        events.into_iter().map(|(kind, data)| Ok((kind, serde_json::from_slice(&data)?))).collect()
    }
}

async fn count(pool: &SqlitePool, sql: &str) -> Result<u64> {
    let n: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await?;
    Ok(n.unsigned_abs())
}
