//! Reads the stores' own files after a run, so that the proof does not rest on the services' word alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
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

/// The kinds of events that the bus has of each order, by the order's id.
pub(crate) async fn told(data: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let bus = open(data, "bus.db").await?;
    let events: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT kind, data FROM log WHERE kind LIKE 'order.%' OR kind LIKE 'payment.%'")
            .fetch_all(&bus)
            .await?;
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (kind, data) in events {
        let event: serde_json::Value = serde_json::from_slice(&data)?;
        let order = event["order_id"].as_str().context("an event without its order")?;
        told.entry(order.to_owned()).or_default().insert(kind);
    }
    Ok(told)
}

/// Delivers every event to every group once more, as a bus that promises "at least once" may.
pub(crate) async fn redeliver(data: &Path) -> Result<u64> {
    let options = SqliteConnectOptions::new().filename(data.join("bus.db")).busy_timeout(Duration::from_secs(10));
    let bus = SqlitePool::connect_with(options).await?;
    let done = sqlx::query(
        "INSERT INTO pending (grp, place, key, head, visible_at)
        SELECT s.grp, l.place, l.key, 1, 0 FROM log l JOIN subscriptions s ON s.kind = l.kind
        WHERE true ORDER BY l.place",
    )
    .execute(&bus)
    .await?;
    Ok(done.rows_affected())
}
