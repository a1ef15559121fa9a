//! Locks that live and die with a transaction.

use std::time::Duration;

use lock::Error;
use sqlx::Row as _;
use testkit::servers::Postgres;
use tokio::time::{Instant, sleep};

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

async fn database() -> Option<postgres::Pool> {
    Some(postgres::Pool::new(
        sqlx::PgPool::connect(&Postgres::shared().await?.database().await).await.unwrap(),
        "test".to_owned(),
    ))
}

#[tokio::test]
async fn one_transaction_at_a_time_has_the_lock() {
    let Some(pool) = database().await else { return };
    for commits in [true, false] {
        let (mut first, mut second) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        postgres::lock(&mut first, "a", SOON).await.unwrap();
        assert!(postgres::try_lock(&mut first, "a").await.unwrap(), "again in the same transaction");
        assert!(!postgres::try_lock(&mut second, "a").await.unwrap());
        assert!(postgres::try_lock(&mut second, "b").await.unwrap(), "another name");
        let ended = if commits { first.commit().await } else { first.rollback().await };
        ended.unwrap();
        assert!(postgres::try_lock(&mut second, "a").await.unwrap());
    }
}

#[tokio::test]
async fn a_wait_in_vain_leaves_the_transaction_as_it_was() {
    let Some(pool) = database().await else { return };
    let (mut first, mut second) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
    sqlx::query("SET LOCAL lock_timeout = '7s'").execute(&mut *second).await.unwrap();
    assert!(postgres::try_lock(&mut first, "a").await.unwrap());
    let asked = Instant::now();
    let refused = postgres::lock(&mut second, "a", SOON).await.unwrap_err();
    assert!(refused.is_busy() && asked.elapsed() >= SOON, "{refused}");
    let left = sqlx::query("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')");
    let left = left.fetch_one(&mut *second).await.unwrap();
    assert_eq!((left.get::<&str, _>(0), left.get::<&str, _>(1)), ("7s", "0"));

    // A transaction that is dropped, and a connection that dies, let go of it.
    drop(first);
    postgres::lock(&mut second, "a", LONG).await.unwrap();
    let left = sqlx::query("SELECT current_setting('lock_timeout')").fetch_one(&mut *second).await.unwrap();
    assert_eq!(left.get::<&str, _>(0), "7s");
    let id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *second).await.unwrap();
    let mut third = pool.begin().await.unwrap();
    let killer = pool.clone();
    let (locked, ()) = tokio::join!(postgres::lock(&mut third, "a", LONG), async {
        sleep(SOON).await;
        sqlx::query("SELECT pg_terminate_backend($1)").bind(id).execute(&killer).await.unwrap();
    });
    locked.unwrap();
}

/// Counts up in two steps, which only the lock makes one.
#[tokio::test(flavor = "multi_thread")]
async fn sections_do_not_overlap_and_nobody_is_left_out() {
    let Some(pool) = database().await else { return };
    sqlx::query("CREATE TABLE counter AS SELECT 0 AS n").execute(&pool).await.unwrap();
    let workers = (0..8).map(async |_| {
        for _ in 0..25 {
            let mut tx = pool.begin().await.unwrap();
            postgres::lock(&mut tx, "counter", LONG).await.unwrap();
            let n: i32 = sqlx::query_scalar("SELECT n FROM counter").fetch_one(&mut *tx).await.unwrap();
            tokio::task::yield_now().await;
            sqlx::query("UPDATE counter SET n = $1").bind(n + 1).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    futures::future::join_all(workers).await;
    let n: i32 = sqlx::query_scalar("SELECT n FROM counter").fetch_one(&pool).await.unwrap();
    assert_eq!(n, 200);
}

#[tokio::test]
async fn those_who_wait_for_each_other_are_told() {
    let Some(pool) = database().await else { return };
    let (mut one, mut two) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
    assert!(postgres::try_lock(&mut one, "a").await.unwrap() && postgres::try_lock(&mut two, "b").await.unwrap());
    let (first, second) = tokio::join!(
        async {
            let answer = postgres::lock(&mut one, "b", LONG).await;
            one.rollback().await.unwrap();
            answer
        },
        async {
            let answer = postgres::lock(&mut two, "a", LONG).await;
            two.rollback().await.unwrap();
            answer
        }
    );
    let failed = [first, second].into_iter().filter(|answer| matches!(answer, Err(Error::Unavailable(_)))).count();
    assert_eq!(failed, 1, "PostgreSQL finds the deadlock and ends one of the two");
}
