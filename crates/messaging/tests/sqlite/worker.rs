//! A small service that may die anywhere: it counts up, publishes each number, applies what it hears, and answers.
//!
//! The tests run it as a process of its own (this test binary again, see [`child`]) and kill it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messaging::sqlite::{SqliteBus, SqliteOutbox, record};
use messaging::{
    Bus, Consumer, DeadLetter, Delivery, Depth, Effects, Error, Event, Failure, Handler, Outbox, OutboxRow, Policy,
    Reason, Receipt, Recorded, Relay, Subscription, Wake,
};
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) const KEYS: u64 = 7;
const LEASE: Duration = Duration::from_millis(400);
static NOTHING: Migrator = Migrator::DEFAULT;

/// Where a process dies: named by the moment, after a few times.
#[derive(Default)]
struct Trap {
    point: String,
    hits: AtomicU32,
}

impl Trap {
    fn at(&self, point: &str) {
        if self.point == point && self.hits.fetch_add(1, Ordering::SeqCst) == 2 {
            // As sudden as kill -9: no destructors, no flushing.
            std::process::abort();
        }
    }
}

struct Trapped<T>(T, Arc<Trap>);

#[async_trait]
impl Bus for Trapped<SqliteBus> {
    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.1.at("before publish");
        let done = self.0.publish(events).await;
        self.1.at("after publish");
        done
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        Ok(Arc::new(Trapped(self.0.subscribe(group, kinds).await?, Arc::clone(&self.1))))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.0.dead_letters(group, limit).await
    }

    async fn replay(&self, group: &str, event: Uuid) -> Result<(), Error> {
        self.0.replay(group, event).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        self.0.depth(group).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.0.ping().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Subscription for Trapped<Arc<dyn Subscription>> {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let fetched = self.0.fetch(max).await;
        self.1.at("after fetch");
        fetched
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        self.1.at("before ack");
        let done = self.0.ack(delivery).await;
        self.1.at("after ack");
        done
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.0.retry(delivery, after).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.0.release(delivery).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        self.0.extend(delivery).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        self.0.dead_letter(delivery, reason).await
    }

    fn lease(&self) -> Duration {
        self.0.lease()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Outbox for Trapped<SqliteOutbox> {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        // Small bites, so that there are many moments to die in.
        self.0.claim(owner, limit.min(5)).await
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        self.1.at("before confirm");
        let done = self.0.confirm(rows).await;
        self.1.at("after confirm");
        done
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, next: Option<time::OffsetDateTime>) -> Result<(), Error> {
        self.0.fail(row, reason, next).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.0.release(owner).await
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.0.depth().await
    }

    async fn revive(&self) -> Result<u64, Error> {
        self.0.revive().await
    }

    async fn prune(&self) -> Result<u64, Error> {
        self.0.prune().await
    }
}

/// Writes down what it hears, and answers a number that was counted with one that was heard.
struct Scribe {
    database: ::sqlite::Database,
    wake: Wake,
    trap: Arc<Trap>,
}

#[async_trait]
impl Handler for Scribe {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), Failure> {
        self.apply(event, receipt).await.map_err(Failure::transient)
    }
}

impl Scribe {
    async fn apply(&self, event: &Event, receipt: Receipt) -> Result<(), anyhow::Error> {
        let number: i64 = event.decode()?;
        let mut tx = self.database.begin().await?;
        let mut effects = Effects::default().caused_by(receipt);
        if event.kind == "counted.v1" {
            effects.events.push(Event::new("heard.v1", "worker", &event.key, event.time, number)?);
        }
        if record(&mut tx, &effects).await? == Recorded::Duplicate {
            return Ok(());
        }
        sqlx::query("INSERT INTO applied (kind, key, number) VALUES (?1, ?2, ?3)")
            .bind(&event.kind)
            .bind(&event.key)
            .bind(number)
            .execute(&mut *tx)
            .await?;
        self.trap.at("before commit");
        tx.commit().await?;
        self.trap.at("after commit");
        self.wake.poke();
        Ok(())
    }
}

pub(crate) async fn open(folder: &str) -> (::sqlite::Database, SqliteBus) {
    let database = ::sqlite::open(&format!("sqlite://{folder}/service.db"), &NOTHING).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let schema = "CREATE TABLE IF NOT EXISTS applied (seq INTEGER PRIMARY KEY, kind, key, number);
        CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY, number INTEGER);
        INSERT INTO counter VALUES (1, 0) ON CONFLICT DO NOTHING;";
    sqlx::raw_sql(schema).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let bus = SqliteBus::open(&format!("sqlite://{folder}/bus.db"), clock::system()).await.unwrap();
    (database, bus.with_lease(LEASE))
}

/// Counts one further, in the transaction that records the event; false when all are counted.
async fn count(database: &::sqlite::Database, total: i64) -> Result<bool, anyhow::Error> {
    let mut tx = database.begin().await?;
    let number: i64 =
        sqlx::query_scalar("UPDATE counter SET number = number + 1 RETURNING number").fetch_one(&mut *tx).await?;
    if number > total {
        return Ok(false);
    }
    let key = number.unsigned_abs() % KEYS;
    let event = Event::new("counted.v1", "worker", key, clock::system().now(), number)?;
    assert_eq!(record(&mut tx, &Effects::of(vec![event])).await?, Recorded::First);
    tx.commit().await?;
    Ok(true)
}

/// Lives until all is counted, heard, answered and settled.
async fn live(folder: &str, total: i64, trap: Trap) {
    let trap = Arc::new(trap);
    let (database, bus) = open(folder).await;
    let outbox = SqliteOutbox::open(database.clone(), clock::system()).await.unwrap().with_lease(LEASE);
    let bus: Arc<dyn Bus> = Arc::new(Trapped(bus, Arc::clone(&trap)));
    let outbox: Arc<dyn Outbox> = Arc::new(Trapped(outbox, Arc::clone(&trap)));
    let relay = Relay::new(Arc::clone(&outbox), Arc::clone(&bus), clock::system());
    let (token, tracker, wake) = (CancellationToken::new(), TaskTracker::new(), relay.wake());
    let scribe = Arc::new(Scribe { database: database.clone(), wake: wake.clone(), trap });
    let policy = Policy { max_backoff: Duration::from_millis(100), ..Policy::default() };
    let counted = Consumer::new(Arc::clone(&bus), "counted", &["counted.v1"], scribe.clone(), policy.clone());
    let heard = Consumer::new(Arc::clone(&bus), "heard", &["heard.v1"], scribe, policy);
    tracker.spawn(relay.run(token.clone()));
    tracker.spawn(counted.run(token.clone(), tracker.clone()));
    tracker.spawn(heard.run(token.clone(), tracker.clone()));
    while count(&database, total).await.unwrap_or(true) {
        wake.poke();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    loop {
        let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM applied").fetch_one(&database.read).await.unwrap();
        let waiting = bus.depth("counted").await.unwrap() + bus.depth("heard").await.unwrap();
        if applied >= 2 * total && waiting == 0 && outbox.depth().await.unwrap().count == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    token.cancel();
    tracker.close();
    tracker.wait().await;
}

/// The process that is killed; does nothing when it runs as a test of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(folder) = std::env::var("WORKER_FOLDER") else { return };
    let total = std::env::var("WORKER_TOTAL").unwrap().parse().unwrap();
    let point = std::env::var("WORKER_TRAP").unwrap_or_default();
    live(&folder, total, Trap { point, hits: AtomicU32::new(0) }).await;
}
