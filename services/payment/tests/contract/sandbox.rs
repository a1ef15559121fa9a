//! The contract of `Provider` over the sandbox on each database, and what only the sandbox promises.

use std::sync::Arc;

use futures::future::join_all;
use payment::{
    adapters::{postgres, sandbox::Sandbox},
    app::ports::{IdempotencyKey, Provider},
    domain::{ChargeState, Operation, Outcome},
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

const AGAIN: &str = "SELECT reference || 'again', order_id, amount, currency, state";

#[tokio::test]
async fn it_sees_who_was_charged_twice() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    charge_some(&sandbox).await;
    let path = url.strip_prefix("sqlite://").unwrap();
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
    let twice = format!("INSERT INTO charges {AGAIN} FROM charges LIMIT 1");
    sqlx::query(sqlx::AssertSqlSafe(twice)).execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
    sqlx::query("UPDATE charges SET state = 'voided'").execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 0, "what is voided costs nobody anything");
}

#[tokio::test]
async fn it_sees_who_was_charged_twice_on_a_server() {
    let Some(url) = database().await else { return };
    let sandbox = Sandbox::on_postgres(&url, true).await.unwrap();
    charge_some(&sandbox).await;
    let pool = PgPool::connect(&url).await.unwrap();
    let twice = format!("INSERT INTO sandbox.charges {AGAIN} FROM sandbox.charges LIMIT 1");
    sqlx::query(sqlx::AssertSqlSafe(twice)).execute(&pool).await.unwrap();
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
}

/// Stores as many answers, which were given then; more than are deleted at a time.
fn given(answers: &str, count: u32, at: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO {answers} (key, order_id, operation, decline_reason, at) \
         SELECT '{count}:' || i, (SELECT order_id FROM {answers} LIMIT 1), 'authorize', 'declined', {at} FROM n"
    ))
}

#[tokio::test]
async fn it_forgets_old_answers_and_no_charge() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    charge_some(&sandbox).await;
    let path = url.strip_prefix("sqlite://").unwrap();
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
    sqlx::query(given("answers", 2_500, "unixepoch() - 30 * 86400 - 1")).execute(&pool).await.unwrap();
    sqlx::query(given("answers", 2, "unixepoch() - 30 * 86400 + 60")).execute(&pool).await.unwrap();
    sandbox.prune().await.unwrap();
    let kept = "SELECT (SELECT count(*) FROM answers), (SELECT count(*) FROM charges)";
    assert_eq!(sqlx::query_as::<_, (i64, i64)>(kept).fetch_one(&pool).await.unwrap(), (8, 3));
}

#[tokio::test]
async fn it_forgets_old_answers_and_no_charge_on_a_server() {
    let Some(url) = database().await else { return };
    let sandbox = Sandbox::on_postgres(&url, true).await.unwrap();
    charge_some(&sandbox).await;
    let pool = PgPool::connect(&url).await.unwrap();
    sqlx::query(given("sandbox.answers", 2_500, "now() - interval '721 hours'")).execute(&pool).await.unwrap();
    sqlx::query(given("sandbox.answers", 2, "now() - interval '719 hours'")).execute(&pool).await.unwrap();
    sandbox.prune().await.unwrap();
    let kept = "SELECT (SELECT count(*) FROM sandbox.answers), (SELECT count(*) FROM sandbox.charges)";
    assert_eq!(sqlx::query_as::<_, (i64, i64)>(kept).fetch_one(&pool).await.unwrap(), (8, 3));
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

/// The one on which payment's own care is tested.
#[tokio::test]
async fn where_it_repeats_a_key_saves_nobody() {
    let sandbox = Sandbox::repeating("sqlite::memory:").await.unwrap();
    let (order, revoked) = (new_id(), new_id());
    for charges in 1..=2 {
        sandbox.execute(&authorization(order, "tok_ok")).await.unwrap();
        assert_eq!(sandbox.charges(order).await.unwrap().len(), charges);
    }
    assert_eq!(sandbox.charged_twice().await.unwrap(), 1);
    sandbox.revoke(authorization(revoked, "tok_ok").key).await.unwrap();
    assert_eq!(sandbox.execute(&authorization(revoked, "tok_ok")).await.unwrap(), Outcome::Revoked);
}

/// What a newer version has written before it was rolled back: it is there, and holds up nobody else's.
async fn lists_what_it_does_not_know(sandbox: &Sandbox, spoil: impl AsyncFnOnce()) {
    let orders = [new_id(), new_id()];
    for order in orders {
        charge(sandbox, order).await;
    }
    spoil().await;
    let listed = sandbox.list(None, 9).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|charge| (charge.order_id, charge.state, charge.amount.is_some())).collect();
    assert_eq!(shown, [(orders[0], ChargeState::Unknown, false), (orders[1], ChargeState::Authorized, true)]);
    assert_eq!(sandbox.charges(orders[0]).await.unwrap(), listed[..1]);
}

#[tokio::test]
async fn it_lists_what_it_does_not_know() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "provider");
    let sandbox = Sandbox::on_sqlite(&url).await.unwrap();
    let path = url.strip_prefix("sqlite://").unwrap();
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path)).await.unwrap();
    let spoil = "PRAGMA ignore_check_constraints = ON; UPDATE charges SET state = 'disputed', currency = 'QQQ' \
                 WHERE reference = (SELECT min(reference) FROM charges)";
    lists_what_it_does_not_know(&sandbox, async || assert!(sqlx::raw_sql(spoil).execute(&pool).await.is_ok())).await;
}

#[tokio::test]
async fn it_lists_what_it_does_not_know_on_a_server() {
    let Some(url) = database().await else { return };
    let sandbox = Sandbox::on_postgres(&url, true).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    let spoil = "ALTER TABLE sandbox.charges DROP CONSTRAINT IF EXISTS charges_state_check; \
                 UPDATE sandbox.charges SET state = 'disputed', currency = 'QQQ' \
                 WHERE reference = (SELECT min(reference) FROM sandbox.charges)";
    lists_what_it_does_not_know(&sandbox, async || assert!(sqlx::raw_sql(spoil).execute(&pool).await.is_ok())).await;
}
