//! Where events are recorded, and noted as applied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use messaging::{Effects, Outbox, Policy, Receipt, Recorded};
use sqlx::migrate::Migrator;

use super::load::{EVENTS, event, rate};

pub(crate) static NOTHING: Migrator = Migrator::DEFAULT;
/// As the relay takes them.
const BATCH: usize = 256;

/// Stores effects in one transaction of its own.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    async fn record(&self, effects: &Effects) -> Recorded;
    fn outbox(&self) -> Arc<dyn Outbox>;
}

pub(crate) struct OnPostgres(pub(crate) postgres::Pool);
pub(crate) struct OnSqlite(sqlite::Database, sqlite::Outbox);

#[async_trait]
impl Store for OnPostgres {
    async fn record(&self, effects: &Effects) -> Recorded {
        let mut tx = self.0.begin().await.unwrap();
        let recorded = postgres::record(&mut tx, effects).await.unwrap();
        tx.commit().await.unwrap();
        recorded
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(postgres::Outbox::new(self.0.clone()))
    }
}

#[async_trait]
impl Store for OnSqlite {
    async fn record(&self, effects: &Effects) -> Recorded {
        let mut tx = self.0.begin().await.unwrap();
        let recorded = sqlite::record(&mut tx, effects).await.unwrap();
        tx.commit().await.unwrap();
        recorded
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.1.clone())
    }
}

pub(crate) async fn on_sqlite(folder: &testkit::TempDir, name: &str) -> Arc<dyn Store> {
    let database = sqlite::open(&testkit::sqlite_url(folder, name), &NOTHING).await.unwrap();
    let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    Arc::new(OnSqlite(database, outbox))
}

/// As many events as are measured, waiting in the outbox.
pub(crate) async fn fill(store: &dyn Store) {
    for first in (0..EVENTS).step_by(500) {
        let _ = store.record(&Effects::of((first..first + 500).map(event).collect())).await;
    }
}

/// Events per second whose receipt the database takes by itself, as many at a time as a consumer handles.
pub(crate) async fn receipts(store: &dyn Store) -> f64 {
    let started = Instant::now();
    let receive = |_| async move {
        let receipt = Receipt { consumer: "alone", event_id: uuid::Uuid::new_v4() };
        let _ = store.record(&Effects::default().caused_by(receipt)).await;
    };
    stream::iter(0..EVENTS).for_each_concurrent(Policy::default().max_in_flight, receive).await;
    rate(EVENTS, started.elapsed())
}

/// What a relay pays for a batch while so many rows wait.
async fn claim(store: &dyn Store, waiting: usize) -> Duration {
    let outbox = store.outbox();
    let mut depth = usize::try_from(outbox.depth().await.unwrap().count).unwrap();
    while depth < waiting {
        let _ = store.record(&Effects::of((depth..depth + 1_000).map(event).collect())).await;
        depth += 1_000;
    }
    let mut times = Vec::new();
    for _ in 0..40 {
        let started = Instant::now();
        let rows = outbox.claim("bench", BATCH).await.unwrap();
        outbox.confirm(&rows).await.unwrap();
        times.push(started.elapsed());
    }
    outbox.release("bench").await.unwrap();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Says what a batch costs where few wait, and where many do.
pub(crate) async fn deep(name: &str, store: &dyn Store) {
    let (few, many) = (claim(store, 20_000).await, claim(store, 110_000).await);
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!(
        "{name}: claim and confirm {BATCH} rows: {few:.1?} of 20,000 waiting, {many:.1?} of 110,000 ({ratio:.2} times)"
    );
}
