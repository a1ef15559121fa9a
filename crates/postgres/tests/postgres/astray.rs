//! What was stored while the server's clock was wrong, and relays whose own clocks are.

use messaging::{Effects, Event, Outbox as _};
use postgres::{Outbox, open, record};
use sqlx::migrate::Migrator;
use testkit::servers::Postgres;

static NOTHING: Migrator = Migrator::DEFAULT;

#[tokio::test]
async fn what_lies_too_far_ahead_is_over() {
    let Some(server) = Postgres::shared().await else { return };
    let pool = open(&server.database().await, "test", &NOTHING, true).await.unwrap();
    let events = (1..3).map(|n| Event::new("thing.happened.v1", "test", 1, clock::system().now(), n).unwrap());
    let mut tx = pool.begin().await.unwrap();
    let _ = record(&mut tx, &Effects::of(events.collect())).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(Outbox::new(pool.clone()).claim("killed", 9).await.unwrap().len(), 2);
    for ahead in [
        "UPDATE outbox_lease SET until = until + interval '1 hour'",
        "UPDATE outbox_relay SET until = until + interval '1 hour'",
        "UPDATE outbox SET next_at = now() + interval '1 hour' WHERE seq = (SELECT min(seq) FROM outbox)",
    ] {
        sqlx::query(ahead).execute(&pool).await.unwrap();
    }
    let next = Outbox::new(pool.clone());
    let claimed = next.claim("next", 9).await.unwrap();
    assert_eq!(claimed.len(), 2);
    next.confirm(&claimed).await.unwrap();
}
