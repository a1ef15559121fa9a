//! A pool hands a connection on as it is after a good answer, and makes sure of it after anything else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use sqlite::Pool;
use sqlx::sqlite::SqlitePoolOptions;
use testkit::temp_dir;
use tokio::time::{Instant, timeout};

/// A pool of that many connections to a table of numbers, and how often sqlx has checked one.
async fn pool(folder: &testkit::TempDir, connections: u32) -> (Pool, Arc<AtomicU32>) {
    let checks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&checks);
    let options = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(true) })
        });
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("numbers.db").display());
    let pool = Pool::new(options.connect(&url).await.unwrap(), "loan".to_owned());
    sqlx::query("CREATE TABLE numbers (n integer PRIMARY KEY)").execute(&pool).await.unwrap();
    (pool, checks)
}

async fn add(pool: &Pool, n: i64) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO numbers VALUES (?1)").bind(n).execute(pool).await.map(drop)
}

async fn count(pool: &Pool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM numbers").fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_checked_once_a_second() {
    let folder = temp_dir();
    let (pool, checks) = pool(&folder, 1).await;
    let begun = Instant::now();
    for n in 0..200 {
        add(&pool, n).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("DELETE FROM numbers WHERE n = ?1").bind(n - 1).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let seconds = u32::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(checks.load(Ordering::Relaxed) <= seconds + 2, "{checks:?} checks in {seconds} s");
    // And once it is older than that.
    let before = checks.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(count(&pool).await, 1);
    assert!(checks.load(Ordering::Relaxed) > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_error_a_connection_is_checked() {
    let folder = temp_dir();
    let (pool, checks) = pool(&folder, 1).await;
    add(&pool, 1).await.unwrap();
    let before = checks.load(Ordering::Relaxed);
    add(&pool, 1).await.unwrap_err();
    assert_eq!(count(&pool).await, 1);
    assert!(checks.load(Ordering::Relaxed) > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_leaves_nothing_behind() {
    let folder = temp_dir();
    let (pool, checks) = pool(&folder, 1).await;
    add(&pool, 1).await.unwrap();
    let before = checks.load(Ordering::Relaxed);
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM numbers").execute(&mut *tx).await.unwrap();
    drop(tx);
    assert_eq!(count(&pool).await, 1, "rolled back");
    let after = checks.load(Ordering::Relaxed);
    assert!(after > before, "and checked");

    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT count(*) FROM n";
    timeout(Duration::from_millis(1), sqlx::query(endless).execute(&pool)).await.unwrap_err();
    assert_eq!(count(&pool).await, 1, "given up");
    assert!(checks.load(Ordering::Relaxed) > after, "and checked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_gets_what_was_kept() {
    let folder = temp_dir();
    let (pool, _) = pool(&folder, 3).await;
    // More at once than there are connections: all are served, and long before anybody gives up.
    let begun = Instant::now();
    let all = join_all((0..300).map(|_| sqlx::query("SELECT count(*) FROM numbers").execute(&pool))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    pool.close().await;
    assert!(matches!(add(&pool, 300).await, Err(sqlx::Error::PoolClosed)));
}
