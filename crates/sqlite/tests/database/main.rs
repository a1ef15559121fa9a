//! What an open database promises: one writer, safe files, a schema that several openers agree on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod on_loan;

use std::os::unix::fs::PermissionsExt;

use sqlite::Database;
use sqlx::{AssertSqlSafe, migrate::Migrator};
use testkit::{sqlite_url, temp_dir};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/database/migrations");

async fn add(database: &Database, name: &str) -> Result<(), sqlx::Error> {
    let mut tx = database.begin().await?;
    sqlx::query("INSERT INTO counters VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

async fn value(database: &Database, name: &str) -> Option<i64> {
    sqlx::query_scalar("SELECT value FROM counters WHERE name = ?1")
        .bind(name)
        .fetch_optional(&database.read)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_committed_is_there_after_opening_again() {
    let folder = temp_dir();
    let url = sqlite_url(&folder, "deep/below/a.db");
    let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
    add(&database, "a").await.unwrap();
    database.close().await;
    let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
    assert_eq!(value(&database, "a").await, Some(1));
    database.ping().await.unwrap();
}

#[tokio::test]
async fn an_older_program_works_on_a_newer_schema() {
    let folder = temp_dir();
    let url = sqlite_url(&folder, "a.db");
    let older = Migrator::with_migrations(MIGRATIONS.iter().take(1).cloned().collect());
    sqlite::open(&url, &older).await.unwrap().close().await;
    let newer = sqlite::open(&url, &MIGRATIONS).await.unwrap();
    let again = sqlite::open(&url, &older).await.unwrap();
    add(&again, "a").await.unwrap();
    assert_eq!(value(&newer, "a").await, Some(1));
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    for url in ["sqlite::memory:".to_owned(), sqlite_url(&temp_dir(), "a.db")] {
        let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        sqlx::query("INSERT INTO counters VALUES ('a', 1)").execute(&mut *tx).await.unwrap();
        drop(tx);
        assert_eq!(value(&database, "a").await, None, "{url}");
    }
}

#[tokio::test]
async fn each_memory_is_a_database_of_its_own() {
    let one = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
    let other = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
    add(&one, "a").await.unwrap();
    assert_eq!(value(&one, "a").await, Some(1));
    assert_eq!(value(&other, "a").await, None);
}

#[tokio::test]
async fn the_reading_connections_refuse_to_write() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    let write = sqlx::query("INSERT INTO counters VALUES ('a', 1)").execute(&database.read).await;
    assert!(write.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn readers_do_not_wait_for_a_writer_and_see_what_was_committed() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    add(&database, "a").await.unwrap();
    let mut tx = database.begin().await.unwrap();
    sqlx::query("UPDATE counters SET value = 9").execute(&mut *tx).await.unwrap();
    assert_eq!(value(&database, "a").await, Some(1));
    tx.commit().await.unwrap();
    assert_eq!(value(&database, "a").await, Some(9));
}

#[tokio::test]
async fn constraints_hold_and_a_broken_key_is_recognised() {
    let database = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
    let insert = "INSERT INTO counters VALUES ('a', 1)";
    sqlx::query(insert).execute(&database.write).await.unwrap();
    let twice = sqlx::query(insert).execute(&database.write).await.unwrap_err();
    assert!(sqlite::is_unique_violation(&twice));
    let orphan = sqlx::query("INSERT INTO notes VALUES ('b', 'text')").execute(&database.write).await.unwrap_err();
    assert!(orphan.as_database_error().unwrap().is_foreign_key_violation());
    assert!(!sqlite::is_unique_violation(&orphan));
}

#[tokio::test]
async fn the_files_are_for_the_owner_only() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    add(&database, "a").await.unwrap();
    for name in ["a.db", "a.db-wal", "a.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_only_when_asked_to() {
    let folder = temp_dir();
    let plain = sqlite_url(&folder, "a.db");
    for (url, level) in [(plain.clone(), 1), (format!("{plain}?synchronous=full"), 2)] {
        let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
        let set: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&database.write).await.unwrap();
        assert_eq!(set, level, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_may_open_a_new_file_and_write_at_the_same_time() {
    let folder = temp_dir();
    let url = sqlite_url(&folder, "a.db");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = url.clone();
        tasks.spawn(async move {
            let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
            for _ in 0..10 {
                add(&database, "a").await.unwrap();
            }
            database.close().await;
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let database = sqlite::open(&url, &MIGRATIONS).await.unwrap();
    assert_eq!(value(&database, "a").await, Some(60));
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let refusal = |url: String| async move { sqlite::open(&url, &MIGRATIONS).await.unwrap_err().to_string() };
    assert!(refusal("postgres://localhost/a".into()).await.contains("write sqlite://PATH"));
    assert!(refusal("sqlite://a.db?mode=ro".into()).await.contains("write sqlite://PATH"));
    let folder = temp_dir();
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(refusal(sqlite_url(&folder, "file/a.db")).await.contains("cannot make the database file"));
    std::fs::write(folder.path().join("no.db"), "this is no database, but long enough to be one").unwrap();
    assert!(refusal(sqlite_url(&folder, "no.db")).await.contains("cannot open the database"));
}

/// SQLite ends a transaction by itself when the disk is full. The first write after there is space again works.
#[tokio::test]
async fn a_full_disk_is_over_when_there_is_space_again() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    add(&database, "a").await.unwrap();
    // A limit of the connection, which another one has not.
    sqlx::query("PRAGMA max_page_count = 1").execute(&database.write).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let full = sqlx::query("INSERT INTO counters VALUES (hex(randomblob(100000)), 1)").execute(&mut *tx).await;
    assert!(sqlite::is_unavailable(&full.unwrap_err()));
    drop(tx);
    add(&database, "a").await.unwrap();
    assert_eq!(value(&database, "a").await, Some(2));
}

/// The file that is open goes on taking what is written, though nobody will find it again.
#[tokio::test]
async fn what_is_moved_away_or_replaced_while_it_is_in_use_takes_nothing() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    add(&database, "a").await.unwrap();
    let [file, aside] = ["a.db", "aside.db"].map(|name| folder.path().join(name));
    for what in ["moved or removed", "replaced by another file"] {
        std::fs::rename(&file, &aside).unwrap();
        if what.starts_with("replaced") {
            std::fs::copy(&aside, &file).unwrap();
        }
        let read = sqlx::query("SELECT value FROM counters").fetch_all(&database.read).await.map(drop);
        let written = sqlx::query("DELETE FROM counters").execute(&database.write).await.map(drop);
        for answer in [add(&database, "a").await, database.ping().await, read, written] {
            let error = answer.unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert!(sqlite::is_unavailable(&error));
        }
        std::fs::rename(&aside, &file).unwrap();
        add(&database, "a").await.unwrap();
    }
    assert_eq!(value(&database, "a").await, Some(3));
}

#[tokio::test]
async fn who_may_only_read_is_not_ready() {
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    database.ping().await.unwrap();
    for (only, is_ready) in [("ON", false), ("OFF", true)] {
        sqlx::query(AssertSqlSafe(format!("PRAGMA query_only = {only}"))).execute(&database.write).await.unwrap();
        let (added, ready) = (add(&database, "a").await, database.ping().await);
        assert_eq!((added.is_ok(), ready.is_ok()), (is_ready, is_ready), "{added:?} {ready:?}");
    }
}
