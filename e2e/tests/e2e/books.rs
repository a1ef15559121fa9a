//! Reads the stores' own files after a run, so that the proof does not rest on the services' word alone.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use sqlx::{AssertSqlSafe, SqlitePool, sqlite::SqliteConnectOptions};

/// Opens a database of a running cluster for reading.
pub(crate) async fn open(data: &Path, name: &str) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(data.join(name)).read_only(true);
    Ok(SqlitePool::connect_with(options).await?)
}

/// One number.
pub(crate) async fn count(pool: &SqlitePool, sql: &str) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await?)
}

/// How many different orders of each user were confirmed, by the events on the bus.
pub(crate) async fn confirmed_by_user(data: &Path) -> Result<BTreeMap<String, u64>> {
    let bus = open(data, "bus.db").await?;
    let events: Vec<(Vec<u8>,)> =
        sqlx::query_as("SELECT data FROM log WHERE kind = 'order.confirmed.v1' GROUP BY key").fetch_all(&bus).await?;
    let mut by_user = BTreeMap::new();
    for (data,) in events {
        let event: serde_json::Value = serde_json::from_slice(&data)?;
        *by_user.entry(event["user_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(by_user)
}
