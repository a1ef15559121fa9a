//! The contract of `Provider` over the sandbox on each database, and what only the sandbox promises.

use std::sync::Arc;

use futures::future::join_all;
use payment::{
    adapters::{postgres, sandbox::Sandbox},
    app::ports::{IdempotencyKey, Provider},
    domain::{ChargeState, Operation},
};
use sqlx::{PgPool, SqlitePool};
use testkit::servers::Postgres;
use uuid::Uuid;

use crate::{
    new_id,
    provider::{Fixture, authorization, charge},
};

mod memory {
    use super::*;

    // What is in memory has no other process: the same handle stands for it.
    testkit::suite! { crate::provider::suite, {
        let provider = Arc::new(Sandbox::on_sqlite("sqlite::memory:").await.unwrap());
        Fixture { provider: provider.clone(), another: provider, _folder: None }
    } }
}

mod file {
    use super::*;

    testkit::suite! { crate::provider::suite, {
        let folder = testkit::temp_dir();
        let url = testkit::sqlite_url(&folder, "provider");
        let open = async || Arc::new(Sandbox::on_sqlite(&url).await.unwrap());
        let (provider, another) = (open().await, open().await);
        Fixture { provider, another, _folder: Some(folder) }
    } }
}

mod server {
    use super::*;

    testkit::suite! { crate::provider::suite, {
        let Some(url) = database().await else { return };
        let open = async || Arc::new(Sandbox::on_postgres(&url, true).await.unwrap());
        Fixture { provider: open().await, another: open().await, _folder: None }
    } }
}

/// An empty database on PostgreSQL; `None` where there is no server.
async fn database() -> Option<String> {
    Some(Postgres::shared().await?.database().await)
}

#[tokio::test]
async fn it_loses_nothing_when_the_process_ends() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let order = new_id();
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    let reference = charge(&sandbox, order).await;
    drop(sandbox);
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    let found =
        sandbox.find_outcome(IdempotencyKey { order_id: order, operation: Operation::Authorize }).await.unwrap();
    assert!(found.is_some());
    let charges = sandbox.charges(order).await.unwrap();
    assert_eq!(charges[0].reference, reference);
    assert_eq!(charges[0].state, ChargeState::Authorized);
}

async fn charge_some(sandbox: &Sandbox) {
    for _ in 0..3 {
        sandbox.execute(&authorization(new_id(), "tok_ok")).await.unwrap();
        sandbox.execute(&authorization(new_id(), "tok_declined")).await.unwrap();
    }
    assert_eq!(sandbox.charged_twice().await.unwrap(), 0);
}

const AGAIN: &str = "SELECT key || ':again', order_id, operation, reference, decline_reason";

#[tokio::test]
async fn it_sees_who_was_charged_twice() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    charge_some(&sandbox).await;
    let path = url.strip_prefix("sqlite://").unwrap();
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
    let twice = format!("INSERT INTO answers {AGAIN} FROM answers WHERE reference IS NOT NULL LIMIT 1");
    sqlx::query(sqlx::AssertSqlSafe(twice)).execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
}

#[tokio::test]
async fn it_sees_who_was_charged_twice_on_a_server() {
    let Some(url) = database().await else { return };
    let sandbox = Sandbox::on_postgres(&url, true).await.unwrap();
    charge_some(&sandbox).await;
    let pool = PgPool::connect(&url).await.unwrap();
    let twice = format!("INSERT INTO sandbox.answers {AGAIN} FROM sandbox.answers WHERE reference IS NOT NULL LIMIT 1");
    sqlx::query(sqlx::AssertSqlSafe(twice)).execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
}

/// All of them migrate at the same time, beside payment's own schema.
#[tokio::test]
async fn it_shares_a_database_with_payment() {
    let Some(url) = database().await else { return };
    let open = || ::postgres::open(&url, "payment", &postgres::MIGRATIONS, true);
    let (sandboxes, own) = tokio::join!(join_all((0..4).map(|_| Sandbox::on_postgres(&url, true))), open());
    for sandbox in sandboxes {
        charge_some(&sandbox.unwrap()).await;
    }
    let payments: i64 =
        sqlx::query_scalar("SELECT count(*) FROM public._sqlx_migrations").fetch_one(&own.unwrap()).await.unwrap();
    assert_eq!(usize::try_from(payments).unwrap(), postgres::MIGRATIONS.iter().count(), "each keeps its own");
}

/// `database.migrate = false`: the schema has to be there, and a role that may not change it will do.
#[tokio::test]
async fn it_migrates_only_when_told() {
    let Some(url) = database().await else { return };
    let outdated = Sandbox::on_postgres(&url, false).await.unwrap_err();
    assert!(outdated.to_string().contains("migrate"), "{outdated}");
    let admin = PgPool::connect(&url).await.unwrap();
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'sandbox'";
    assert_eq!(sqlx::query_scalar::<_, i64>(schemas).fetch_one(&admin).await.unwrap(), 0, "nothing was made");

    Sandbox::on_postgres(&url, true).await.unwrap().close().await;
    let role = format!("role_{}", Uuid::now_v7().simple());
    let run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&admin).await.unwrap();
    run(format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA sandbox TO {role}; \
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sandbox TO {role}"
    ))
    .await;
    let limited = format!("{url}?options[role]={role}");
    assert!(Sandbox::on_postgres(&limited, true).await.is_err(), "it may not make a schema");
    let sandbox = Sandbox::on_postgres(&limited, false).await.unwrap();
    charge_some(&sandbox).await;
    sandbox.close().await;
    run(format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
