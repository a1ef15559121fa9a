//! The schema is brought up to date while other processes are at work.

use messaging::{Effects, Event, Outbox as _, Receipt, Recorded};
use postgres::{open, record};
use sqlx::migrate::Migrator;
use testkit::servers::Postgres;
use uuid::Uuid;

static NOTHING: Migrator = Migrator::DEFAULT;

fn thing() -> Event {
    Event::new("thing.happened.v1", "test", 1, clock::system().now(), 1).unwrap()
}

#[tokio::test]
async fn a_start_waits_for_no_transaction_at_work() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let pool = open(&url, "test", &NOTHING, true).await.unwrap();
    let receipt = Receipt { consumer: "test", event_id: Uuid::new_v4() };
    let mut tx = pool.begin().await.unwrap();
    let effects = Effects::of(vec![thing()]).caused_by(receipt);
    assert_eq!(record(&mut tx, &effects).await.unwrap(), Recorded::First);
    // What waits for a lock gives up after 3 s.
    open(&url, "test", &NOTHING, true).await.unwrap();
    // Also where all is there already and nobody knows.
    sqlx::query("DROP TABLE _messaging_migrations").execute(&pool).await.unwrap();
    open(&url, "test", &NOTHING, true).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_database_from_before_there_was_a_history_is_taken_over() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let pool = open(&url, "test", &NOTHING, true).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(record(&mut tx, &Effects::of(vec![thing()])).await.unwrap(), Recorded::First);
    tx.commit().await.unwrap();
    sqlx::query("DROP TABLE _messaging_migrations").execute(&pool).await.unwrap();
    assert!(matches!(open(&url, "test", &NOTHING, false).await, Err(postgres::Error::Outdated)));
    let pool = open(&url, "test", &NOTHING, true).await.unwrap();
    assert_eq!(postgres::Outbox::new(pool).depth().await.unwrap().count, 1);
    open(&url, "test", &NOTHING, false).await.unwrap();
}
