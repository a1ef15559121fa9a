//! The contract suites, on files that several handles share and on a bus in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::suite::{Broker, Open, Store, Stores};
use messaging::{Bus, Difference, Effects, Event, Outbox, Recorded, Track};
use sqlx::migrate::Migrator;
use testkit::TempDir;

static NOTHING: Migrator = Migrator::DEFAULT;

/// A file; each handle has connections of its own, as another process has.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(testkit::temp_dir())
    }
}

#[async_trait]
impl Broker for Files {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        let url = testkit::sqlite_url(&self.0, "bus.db");
        Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap().with_lease(lease).on_track(track))
    }

    fn differs(&self, difference: Difference) -> bool {
        sqlite::DIFFERENCES.contains(&difference)
    }
}

#[async_trait]
impl Stores for Files {
    async fn open(&self, lease: Duration) -> Arc<dyn Store> {
        let url = testkit::sqlite_url(&self.0, "service.db");
        let database = sqlite::open(&url, &NOTHING).await.unwrap();
        let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap().with_lease(lease);
        Arc::new(Service { database, outbox })
    }
}

struct Service {
    database: sqlite::Database,
    outbox: sqlite::Outbox,
}

struct Transacting(sqlite::Transaction);

#[async_trait]
impl Store for Service {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    async fn begin(&self, effects: &Effects) -> (Recorded, Box<dyn Open>) {
        let mut tx = self.database.begin().await.unwrap();
        let recorded = sqlite::record(&mut tx, effects).await.unwrap();
        (recorded, Box::new(Transacting(tx)))
    }

    async fn receive_long_ago(&self, count: u32) {
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO inbox (consumer, event, at) SELECT 'suite', randomblob(16), 1 FROM n";
        sqlx::query(fill).bind(count).execute(&self.database.write).await.unwrap();
    }

    async fn receipts(&self) -> u64 {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM inbox").fetch_one(&self.database.read);
        count.await.unwrap().unsigned_abs()
    }

    async fn spoil(&self, event: &Event) {
        let spoilt = sqlx::query("UPDATE outbox SET id = x'00' WHERE id = ?1").bind(event.id.as_bytes().as_slice());
        assert_eq!(spoilt.execute(&self.database.write).await.unwrap().rows_affected(), 1);
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

/// A bus of this process alone; its handles share the one connection.
struct Memory(sqlite::Bus);

impl Memory {
    async fn new() -> Self {
        Self(sqlite::Bus::open("sqlite::memory:", clock::system()).await.unwrap())
    }
}

#[async_trait]
impl Broker for Memory {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        Arc::new(self.0.clone().with_lease(lease).on_track(track))
    }

    fn differs(&self, _: Difference) -> bool {
        false
    }
}

mod file {
    use super::Files;

    mod bus {
        testkit::suite! { messaging::bus_suite, &super::Files::new() }
    }

    mod tail {
        testkit::suite! { messaging::tail_suite, &super::Files::new() }
    }

    mod consumer {
        testkit::suite! { messaging::consumer_suite, &super::Files::new() }
    }

    mod death {
        testkit::suite! { messaging::death_suite, &super::Files::new() }
    }

    mod outbox {
        testkit::suite! { messaging::outbox_suite, &super::Files::new() }
    }

    mod inbox {
        testkit::suite! { messaging::inbox_suite, &super::Files::new() }
    }
}

mod memory {
    use super::Memory;

    mod bus {
        testkit::suite! { messaging::bus_suite, &super::Memory::new().await }
    }

    mod tail {
        testkit::suite! { messaging::tail_suite, &super::Memory::new().await }
    }

    mod consumer {
        testkit::suite! { messaging::consumer_suite, &super::Memory::new().await }
    }
}
