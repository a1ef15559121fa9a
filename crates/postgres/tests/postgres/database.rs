//! Schemas that change under programs that run, on a real PostgreSQL.

use std::time::Duration;

use postgres::{Error, HISTORY, check, connect, create, is_unavailable, is_unique_violation, migrate, ping};
use sqlx::{
    AssertSqlSafe, Connection as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use testkit::{eventually, servers::Postgres};
use tokio::time::timeout;

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

/// Bytes that are no UTF-8, of a server that knows why: neither adapter takes its answer for an outage.
#[tokio::test]
async fn what_will_never_be_stored_is_no_outage() {
    let Some(pool) = pool().await else { return };
    let refused = sqlx::query("SELECT $1").bind("\0").execute(&pool).await.unwrap_err();
    let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("22021"));
    assert!(!is_unavailable(&refused) && !sqlite::is_unavailable(&refused));
}

#[tokio::test]
async fn what_ends_with_its_connection_is_an_outage() {
    let Some(pool) = pool().await else { return };
    for code in ["58030", "25P02", "25P04", "0A000", "26000", "42P05"] {
        let raised = format!("DO $$ BEGIN RAISE EXCEPTION 'test' USING ERRCODE = '{code}'; END $$");
        let error = sqlx::raw_sql(AssertSqlSafe(raised)).execute(&pool).await.unwrap_err();
        assert!(is_unavailable(&error), "{code}: {error}");
    }
}

/// A migration changes the columns of a statement that is prepared: that costs its connection.
#[tokio::test]
async fn a_plan_whose_columns_have_changed_is_not_kept() {
    let Some(pool) = pool().await else { return };
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let read = async || sqlx::query("SELECT * FROM things").fetch_all(&pool).await;
    read().await.unwrap();
    sqlx::query("ALTER TABLE things ADD COLUMN size int").execute(&pool).await.unwrap();
    let refused = read().await.unwrap_err();
    assert!(is_unavailable(&refused), "{refused}");
    for _ in 0..20 {
        read().await.unwrap();
    }
    // In a transaction too.
    sqlx::query("ALTER TABLE things ADD COLUMN weight int").execute(&pool).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("SELECT * FROM things").fetch_all(&mut *tx).await.unwrap_err();
    drop(tx);
    for _ in 0..20 {
        read().await.unwrap();
    }
}

/// The server has said nothing for longer than it may work: its answer was lost on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_holds_nobody_up() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let (before, database) = url.rsplit_once('/').unwrap();
    let (user, address) = before.rsplit_once('@').unwrap();
    let proxy = testkit::Proxy::to(address).await;
    let pool = connect(&format!("{user}@{}/{database}", proxy.address()), "test").await.unwrap();
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO things (id, name) VALUES (1, 'thing')").execute(&mut *tx).await.unwrap();
    proxy.hush();
    let silent = Duration::from_secs(12);
    let ended = timeout(silent, tx.commit()).await.expect("it ends").unwrap_err();
    assert!(is_unavailable(&ended), "{ended}");
    add(&pool, 2).await.unwrap();
    proxy.hush();
    let ended = timeout(silent, add(&pool, 3)).await.expect("it ends").unwrap_err();
    assert!(is_unavailable(&ended), "{ended}");
    add(&pool, 4).await.unwrap();
}

/// Connections that were idle when the network forgot them: the next caller gets another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_forgotten_are_found_out() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let (before, database) = url.rsplit_once('/').unwrap();
    let (user, address) = before.rsplit_once('@').unwrap();
    let proxy = testkit::Proxy::to(address).await;
    let pool = connect(&format!("{user}@{}/{database}", proxy.address()), "test").await.unwrap();
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    // Ten connections, which rest for longer than they are trusted.
    let sleeping = (0..10).map(|_| sqlx::query("SELECT pg_sleep(0.2)").execute(&pool));
    futures::future::try_join_all(sleeping).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    proxy.hush();
    add(&pool, 1).await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_store_every_name_is_refused() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let admin = connect(&url, "test").await.unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{}", url.rsplit_once('/').unwrap().1, encoding.to_lowercase());
        let create = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        sqlx::query(AssertSqlSafe(create)).execute(&admin).await.unwrap();
        let url = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
        let Err(error) = connect(&url, "test").await else { panic!("{encoding} is ready") };
        assert!(error.to_string().contains(encoding) && error.to_string().contains("ENCODING 'UTF8'"), "{error}");
    }
}

/// Also an older program's lock, which is its session's, and one that a pooler has left behind.
#[tokio::test]
async fn who_waits_for_a_migration_says_for_whom_and_not_for_ever() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let pool = connect(&url, "test").await.unwrap();
    let mut other = sqlx::PgConnection::connect_with(&pool.raw().connect_options()).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(8390884995793511681)").execute(&mut other).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    let only = program(&[FIRST]);
    // Its minutes pass at once; what ends the test is a clock on the wall.
    let (late, is_late) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_mins(1));
        late.send(())
    });
    tokio::time::pause();
    let told = tokio::select! {
        waited = migrate(&pool, &only, HISTORY) => waited.unwrap_err().to_string(),
        _ = is_late => panic!("it waits for ever"),
    };
    assert!(told.contains(&pid.to_string()) && told.contains("test"), "{told}");
    tokio::time::resume();
    other.close().await.unwrap();
    migrate(&pool, &only, HISTORY).await.unwrap();
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

/// Changes a setting of the database, and ends the sessions that have the old one.
async fn configure(url: &str, setting: &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    let admin = connect(&format!("{server}/postgres"), "admin").await.unwrap();
    let alter = format!("ALTER DATABASE {name} SET {setting}");
    sqlx::query(AssertSqlSafe(alter)).execute(&admin).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(end).bind(name).execute(&admin).await.unwrap();
}

/// A database whose sessions may only read, as those of a server that follows another.
#[tokio::test]
async fn who_cannot_write_is_not_ready() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let pool = connect(&url, "test").await.unwrap();
    migrate(&pool, &program(&[FIRST]), HISTORY).await.unwrap();
    ping(&pool).await.unwrap();
    configure(&url, "default_transaction_read_only = on").await;
    eventually!(matches!(ping(&pool).await, Err(Error::ReadOnly)));
    assert!(is_unavailable(&add(&pool, 1).await.unwrap_err()));
    configure(&url, "default_transaction_read_only = off").await;
    eventually!(ping(&pool).await);
    add(&pool, 1).await.unwrap();
}

/// As on a disk without room: what a session may write to temporary files is limited to nothing.
#[tokio::test]
async fn who_has_no_room_is_not_ready() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let pool = connect(&url, "test").await.unwrap();
    configure(&url, "temp_file_limit = 0").await;
    eventually!(sqlx::query("SELECT 1").execute(&pool).await);
    while pool.take_doubt() {}
    // Nobody asks while all goes well.
    ping(&pool).await.unwrap();
    sqlx::query("SELECT 1 / 0").execute(&pool).await.unwrap_err();
    assert!(matches!(ping(&pool).await, Err(Error::NoRoom(error)) if is_unavailable(&error)));
    assert!(matches!(ping(&pool).await, Err(Error::NoRoom(_))), "and as long as it is so");
    configure(&url, "temp_file_limit = -1").await;
    eventually!(ping(&pool).await);
}
