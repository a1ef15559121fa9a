//! Migrations and savepoints are measured like other statements. A process of its own: telemetry begins before its instruments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::time::Duration;

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use telemetry::{Config, Format};
use testkit::servers::Postgres;
use tokio::time::sleep;

const SOON: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_savepoints_are_measured() {
    let Some(server) = Postgres::shared().await else { return };
    let config = Config { log: "off".to_owned(), format: Format::Json, recent_spans: 0 };
    let guard = telemetry::init(&config, "test", "0").unwrap();
    let pool = postgres::connect(&server.database().await, "test").await.unwrap();
    let table = "CREATE TABLE things (id integer)".into_sql_str();
    let table = Migration::new(1, "things".into(), MigrationType::Simple, table, false);
    postgres::migrate(&pool, &Migrator::with_migrations(vec![table]), postgres::HISTORY).await.unwrap();

    let (mut first, mut second) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
    assert!(postgres::try_lock(&mut first, "a").await.unwrap());
    assert!(postgres::lock(&mut second, "a", SOON).await.unwrap_err().is_busy());
    let (locked, ended) = tokio::join!(postgres::lock(&mut second, "a", Duration::from_secs(20)), async {
        sleep(SOON).await;
        first.rollback().await
    });
    locked.unwrap();
    ended.unwrap();
    second.commit().await.unwrap();

    let shown = telemetry::prometheus_text();
    for summary in [
        "CREATE _sqlx_migrations",
        "SELECT _sqlx_migrations",
        "MIGRATE 1",
        "BEGIN",
        "SAVEPOINT",
        "ROLLBACK SAVEPOINT",
        "RELEASE SAVEPOINT",
        "ROLLBACK",
        "COMMIT",
    ] {
        let label = format!("db_query_summary=\"{summary}\"");
        assert!(shown.contains(&label), "{summary} is not measured: {shown}");
    }
    guard.shutdown(Duration::from_secs(1)).await;
}
