//! A disk that takes no more, in a process of its own: the limit is the process'.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{path::Path, process::Command};

use sqlite::Database;
use sqlx::migrate::Migrator;
use testkit::{sqlite_url, temp_dir};
use tokio::signal::unix::{SignalKind, signal};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/database/migrations");
/// What the system sends to whoever writes beyond the limit (setrlimit(2)); unheard, it ends the process.
const SIGXFSZ: i32 = 25;

async fn add(database: &Database) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO counters VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1";
    sqlx::query(add).execute(&database.write).await.map(drop)
}

/// Lets no file of this process grow beyond `bytes`.
fn limit(prlimit: &Path, bytes: &str) {
    let pid = std::process::id().to_string();
    let limited = Command::new(prlimit).args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(limited.unwrap().success());
}

#[tokio::test]
async fn who_cannot_commit_is_not_ready() {
    let Some(prlimit) = testkit::servers::program("prlimit") else { return };
    let _heard = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    let folder = temp_dir();
    let database = sqlite::open(&sqlite_url(&folder, "a.db"), &MIGRATIONS).await.unwrap();
    add(&database).await.unwrap();
    database.ping().await.unwrap();
    let log = folder.path().join("a.db-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    let before = length();
    for _ in 0..10 {
        database.ping().await.unwrap();
    }
    assert_eq!(length(), before, "while all goes well nothing is written");

    // Less than a page: also what is written again from the beginning of the log is too much.
    limit(&prlimit, "1024");
    for _ in 0..2 {
        assert!(sqlite::is_unavailable(&add(&database).await.unwrap_err()));
        for _ in 0..2 {
            assert!(sqlite::is_unavailable(&database.ping().await.unwrap_err()));
        }
    }
    limit(&prlimit, "unlimited");
    database.ping().await.unwrap();
    add(&database).await.unwrap();
}
