//! Schemas that change under programs that run, on a real PostgreSQL.

use postgres::{Error, HISTORY, check, connect, create, is_unavailable, is_unique_violation, migrate};
use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use testkit::servers::Postgres;

const FIRST: &str = "CREATE TABLE things (id integer PRIMARY KEY, name text NOT NULL)";
/// Expands: what the older program writes stays valid.
const SECOND: &str = "ALTER TABLE things ADD COLUMN colour text NOT NULL DEFAULT 'grey'";

/// A program whose schema is these migrations.
fn program(migrations: &[&'static str]) -> Migrator {
    let numbered = (1..)
        .zip(migrations)
        .map(|(version, sql)| Migration::new(version, "test".into(), MigrationType::Simple, sql.into_sql_str(), false));
    Migrator::with_migrations(numbered.collect())
}

async fn pool() -> Option<postgres::Pool> {
    let url = Postgres::shared().await?.database().await;
    Some(connect(&url, "test").await.unwrap())
}

async fn add(pool: &postgres::Pool, id: i32) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO things (id, name) VALUES ($1, 'thing')").bind(id).execute(pool).await.map(drop)
}

#[tokio::test]
async fn an_older_program_works_on_a_newer_schema() {
    let Some(pool) = pool().await else { return };
    let (older, newer) = (program(&[FIRST]), program(&[FIRST, SECOND]));
    migrate(&pool, &older, HISTORY).await.unwrap();
    add(&pool, 1).await.unwrap();
    migrate(&pool, &newer, HISTORY).await.unwrap();
    // It runs on, it starts again, and it does so without the right to migrate.
    add(&pool, 2).await.unwrap();
    migrate(&pool, &older, HISTORY).await.unwrap();
    check(&pool, &older, HISTORY).await.unwrap();
    add(&pool, 3).await.unwrap();
    let colours: Vec<String> = sqlx::query_scalar("SELECT colour FROM things").fetch_all(&pool).await.unwrap();
    assert_eq!(colours, ["grey"; 3]);
}

#[tokio::test]
async fn of_several_programs_one_migrates() {
    let Some(pool) = pool().await else { return };
    let newer = program(&[FIRST, SECOND]);
    let all = futures::future::join_all((0..8).map(|_| migrate(&pool, &newer, HISTORY))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap();
    assert_eq!(applied, 2);
}

#[tokio::test]
async fn a_migration_may_take_longer_than_what_serves() {
    let Some(pool) = pool().await else { return };
    // Beyond the limits of a statement and of a lock, for the one that migrates and for the one that waits.
    let slow = program(&[FIRST, "SELECT pg_sleep(5.5)"]);
    let (one, two) = tokio::join!(migrate(&pool, &slow, HISTORY), migrate(&pool, &slow, HISTORY));
    one.and(two).unwrap();
}

#[tokio::test]
async fn a_migration_does_not_hold_up_those_at_work() {
    let Some(pool) = pool().await else { return };
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE things IN ROW EXCLUSIVE MODE").execute(&mut *tx).await.unwrap();
    let newer = program(&[FIRST, SECOND]);
    let Err(Error::Migrate(_)) = migrate(&pool, &newer, HISTORY).await else { panic!("it changed a table in use") };
    tx.commit().await.unwrap();
    migrate(&pool, &newer, HISTORY).await.unwrap();
}

#[tokio::test]
async fn histories_know_nothing_of_each_other() {
    let Some(pool) = pool().await else { return };
    migrate(&pool, &program(&[FIRST, SECOND]), HISTORY).await.unwrap();
    let own = "apart.history";
    assert!(matches!(check(&pool, &program(&["CREATE TABLE apart.things ()"]), own).await, Err(Error::Outdated)));
    migrate(&pool, &program(&["CREATE TABLE apart.things ()"]), own).await.unwrap();
    check(&pool, &program(&["CREATE TABLE apart.things ()"]), own).await.unwrap();
}

#[tokio::test]
async fn without_migrating_a_program_insists_on_its_schema() {
    let Some(pool) = pool().await else { return };
    assert!(matches!(check(&pool, &program(&[FIRST]), HISTORY).await, Err(Error::Outdated)));
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    check(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let behind = check(&pool, &program(&[FIRST, SECOND]), HISTORY).await.unwrap_err();
    assert!(behind.to_string().contains("migrate"), "it says what to do: {behind}");
}

#[tokio::test]
async fn a_role_that_may_not_change_the_schema_can_serve() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let owner = connect(&url, "test").await.unwrap();
    migrate(&owner, &program(&[FIRST]), HISTORY).await.unwrap();
    let role = url.rsplit_once('/').unwrap().1;
    let grants = format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}");
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(&owner).await.unwrap();
    let pool = connect(&url.replacen("postgres@", &format!("{role}@"), 1), "test").await.unwrap();
    check(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    add(&pool, 1).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("REVOKE SELECT ON {HISTORY} FROM {role}"))).execute(&owner).await.unwrap();
    let unreadable = check(&pool, &program(&[FIRST]), HISTORY).await.unwrap_err();
    assert!(matches!(unreadable, Error::Connect(_)), "to migrate would not help: {unreadable:?}");
    assert!(migrate(&pool, &program(&[FIRST, SECOND]), HISTORY).await.is_err());
}

#[tokio::test]
async fn a_migration_that_was_changed_is_refused() {
    let Some(pool) = pool().await else { return };
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    assert!(matches!(migrate(&pool, &program(&[SECOND]), HISTORY).await, Err(Error::Migrate(_))));
}

#[tokio::test]
async fn sessions_have_limits() {
    let Some(pool) = pool().await else { return };
    for (name, value) in [("statement_timeout", "5s"), ("lock_timeout", "3s")] {
        let set: String = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&pool).await.unwrap();
        assert_eq!(set, value, "{name}");
    }
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE things").execute(&mut *tx).await.unwrap();
    let error = add(&pool, 1).await.unwrap_err();
    assert!(is_unavailable(&error));
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("55P03"), "the lock's limit, not the statement's");
}

#[tokio::test]
async fn a_database_is_made_once() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    create(&url).await.unwrap();
    let odd = format!("{url}%22%20odd");
    create(&odd).await.unwrap();
    let pool = connect(&odd, "test").await.unwrap();
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    add(&pool, 1).await.unwrap();
    assert!(is_unique_violation(&add(&pool, 1).await.unwrap_err()));
}

#[tokio::test]
async fn an_address_that_cannot_be_used_keeps_its_password() {
    let Err(error) = connect("postgres://me:secret@127.0.0.1:1/none", "test").await else { panic!("connected") };
    assert!(!format!("{error:?}{error}").contains("secret"));
}

/// A server that takes no writes any more, as one that was demoted: the connection goes and does not come back.
#[tokio::test]
async fn a_connection_that_cannot_write_is_not_kept() {
    let Some(pool) = pool().await else { return };
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let demote = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query(demote).execute(&mut connection).await.unwrap();
    let refused = sqlx::query("INSERT INTO things (id, name) VALUES (1, 'thing')").execute(&mut connection).await;
    assert!(is_unavailable(&refused.unwrap_err()));
    drop(connection);
    // The pool hands out all of its connections in turn.
    for id in 1..=20 {
        add(&pool, id).await.unwrap();
    }
}
