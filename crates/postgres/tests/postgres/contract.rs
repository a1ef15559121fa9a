//! The contract suite, each case on a database of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::suite::{Open, Store, Stores};
use messaging::{Effects, Event, Outbox, Recorded};
use postgres::{open, record};
use sqlx::migrate::Migrator;

static NOTHING: Migrator = Migrator::DEFAULT;

/// A database; each opening has connections of its own, as another process has.
struct Databases(String);

impl Databases {
    async fn new(server: &testkit::servers::Postgres) -> Self {
        Self(server.database().await)
    }
}

#[async_trait]
impl Stores for Databases {
    async fn open(&self, lease: Duration) -> Arc<dyn Store> {
        let pool = open(&self.0, "suite", &NOTHING, true).await.unwrap();
        let outbox = postgres::Outbox::new(pool.clone()).with_lease(lease);
        Arc::new(Service { pool, outbox })
    }
}

struct Service {
    pool: postgres::Pool,
    outbox: postgres::Outbox,
}

struct Transacting(postgres::Transaction);

#[async_trait]
impl Store for Service {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self, effects: &Effects) -> (Recorded, Box<dyn Open>) {
        let mut tx = self.pool.begin().await.unwrap();
        let recorded = record(&mut tx, effects).await.unwrap();
        (recorded, Box::new(Transacting(tx)))
    }

    async fn receive_long_ago(&self, count: u32) {
        let fill = "INSERT INTO inbox (consumer, event, at)
            SELECT 'suite', gen_random_uuid(), '2020-01-01' FROM generate_series(1, $1)";
        sqlx::query(fill).bind(i64::from(count)).execute(&self.pool).await.unwrap();
    }

    async fn receipts(&self) -> u64 {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM inbox").fetch_one(&self.pool);
        count.await.unwrap().unsigned_abs()
    }

    async fn spoil(&self, event: &Event) {
        let spoilt = sqlx::query("UPDATE outbox SET time = 'infinity' WHERE id = $1").bind(event.id);
        assert_eq!(spoilt.execute(&self.pool).await.unwrap().rows_affected(), 1);
    }
}

#[async_trait]
impl Open for Transacting {
    async fn commit(self: Box<Self>) {
        self.0.commit().await.unwrap();
    }

    async fn roll_back(self: Box<Self>) {
        self.0.rollback().await.unwrap();
    }
}

mod outbox {
    testkit::suite! { messaging::outbox_suite, &match testkit::servers::Postgres::shared().await {
        Some(server) => super::Databases::new(server).await,
        None => return,
    } }
}

mod inbox {
    testkit::suite! { messaging::inbox_suite, &match testkit::servers::Postgres::shared().await {
        Some(server) => super::Databases::new(server).await,
        None => return,
    } }
}
