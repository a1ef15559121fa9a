//! Measures the way of an event from the outbox until it is applied, as a ratio to what the broker does by itself.
//!
//! `make bench-messaging`. PostgreSQL and NATS are started here, on loopback; about a minute in all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream::Config};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use messaging::{Bus, Consumer, Effects, Event, Handler, HandlerError, Outbox, Policy, Receipt, Recorded, Relay, Wake};
use sqlx::migrate::Migrator;
use testkit::servers::{Nats, Postgres};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

static NOTHING: Migrator = Migrator::DEFAULT;
const EVENTS: usize = 20_000;
const KEYS: usize = 500;
/// Acknowledgements awaited at the same time by the raw publisher, as many as ours awaits.
const WINDOW: usize = 256;
/// As the relay takes them.
const BATCH: usize = 256;
/// Events recorded at the same time.
const WRITERS: usize = 8;
const PACED: Duration = Duration::from_secs(5);

fn event(number: usize) -> Event {
    let data =
        serde_json::json!({ "order_id": number, "total": {"amount": 1299, "currency": "EUR"}, "items": vec!["x"; 20] });
    Event::new("order.placed.v1", "bench", number % KEYS, clock::system().now(), data).unwrap()
}

/// Stores effects in one transaction of its own.
#[async_trait]
trait Store: Send + Sync {
    async fn record(&self, effects: &Effects) -> Recorded;
    fn outbox(&self) -> Arc<dyn Outbox>;
}

struct OnPostgres(postgres::Pool);
struct OnSqlite(sqlite::Database, sqlite::Outbox);

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

/// Applies events: an inbox row in a transaction.
struct Inbox {
    store: Arc<dyn Store>,
    applied: AtomicUsize,
    delays: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        let _ = self.store.record(&Effects::default().caused_by(receipt)).await;
        self.applied.fetch_add(1, Ordering::SeqCst);
        let delay = Duration::try_from(clock::system().now() - event.time).unwrap_or_default();
        self.delays.lock().unwrap().push(delay);
        Ok(())
    }
}

struct Running {
    inbox: Arc<Inbox>,
    wake: Wake,
    token: CancellationToken,
    tasks: TaskTracker,
}

fn start(store: &Arc<dyn Store>, bus: &Arc<dyn Bus>) -> Running {
    let inbox = Arc::new(Inbox { store: Arc::clone(store), applied: AtomicUsize::new(0), delays: Mutex::default() });
    let relay = Relay::new(store.outbox(), Arc::clone(bus));
    let (token, tasks, wake) = (CancellationToken::new(), TaskTracker::new(), relay.wake());
    let consumer = Consumer::new(Arc::clone(bus), "bench", &["order.placed.v1"], inbox.clone(), Policy::default());
    tasks.spawn(relay.run(token.clone()));
    tasks.spawn(consumer.run(token.clone(), tasks.clone()));
    Running { inbox, wake, token, tasks }
}

impl Running {
    async fn applied(&self, count: usize) {
        while self.inbox.applied.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Records an event as a request does, and pokes the relay.
    async fn record(&self, store: &Arc<dyn Store>, event: Event) {
        let _ = store.record(&Effects::of(vec![event])).await;
        self.wake.poke();
    }

    async fn stop(self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn rate(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

/// Events per second that `JetStream` takes by itself: same headers, same data, same window of acknowledgements.
async fn raw(url: &str, window: usize) -> f64 {
    let js = jetstream::new(async_nats::connect(url).await.unwrap());
    let (name, subject) = (format!("raw{window}"), format!("raw{window}.event"));
    let config = Config { name, subjects: vec![subject.clone()], ..Config::default() };
    js.create_stream(config).await.unwrap();
    let messages: Vec<_> = (0..EVENTS).map(event).collect();
    let started = Instant::now();
    let publish = |event: Event| {
        let (js, subject) = (js.clone(), subject.clone());
        async move {
            let mut headers = async_nats::HeaderMap::new();
            for (name, value) in event.to_headers("ce-") {
                headers.insert(name, value);
            }
            headers.insert("Nats-Msg-Id", event.id.to_string());
            js.publish_with_headers(subject, headers, event.data).await.unwrap().await.unwrap();
        }
    };
    stream::iter(messages.into_iter().map(publish)).buffer_unordered(window).collect::<Vec<_>>().await;
    rate(EVENTS, started.elapsed())
}

async fn fill(store: &Arc<dyn Store>) {
    for first in (0..EVENTS).step_by(500) {
        let _ = store.record(&Effects::of((first..first + 500).map(event).collect())).await;
    }
}

/// Events per second that the relay takes from a full outbox to the bus.
async fn published(name: &str, store: Arc<dyn Store>, bus: Arc<dyn Bus>, raw: Option<f64>) {
    fill(&store).await;
    let (token, outbox) = (CancellationToken::new(), store.outbox());
    let relay = Relay::new(store.outbox(), bus);
    let started = Instant::now();
    let relaying = TaskTracker::new().spawn(relay.run(token.clone()));
    while outbox.depth().await.unwrap().count > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{name}: outbox to bus {}", compared(rate(EVENTS, started.elapsed()), raw, "raw publishing"));
    token.cancel();
    relaying.await.unwrap().unwrap();
}

/// Events per second whose receipt the database takes by itself, as many at a time as a consumer handles.
async fn receipts(store: &Arc<dyn Store>) -> f64 {
    let started = Instant::now();
    let receive = |_| async move {
        let receipt = Receipt { consumer: "alone", event_id: uuid::Uuid::new_v4() };
        let _ = store.record(&Effects::default().caused_by(receipt)).await;
    };
    stream::iter(0..EVENTS).for_each_concurrent(Policy::default().max_in_flight, receive).await;
    rate(EVENTS, started.elapsed())
}

/// Events per second from a full outbox until all are applied; then recorded while they are carried and applied, as
/// many as go; then the delays at half of that.
async fn through(name: &str, store: Arc<dyn Store>, bus: Arc<dyn Bus>, raw: Option<f64>) {
    let alone = receipts(&store).await;
    fill(&store).await;
    let started = Instant::now();
    let running = start(&store, &bus);
    running.applied(EVENTS).await;
    let full = rate(EVENTS, started.elapsed());
    println!("{name}: outbox to applied {}", compared(full, raw, "raw publishing"));
    println!("{name}: outbox to applied {}", compared(full, Some(alone), "receipts in the database alone"));

    let started = Instant::now();
    let (carried, kept) = (&running, &store);
    let record = |number| async move { carried.record(kept, event(number)).await };
    stream::iter(0..EVENTS / 2).for_each_concurrent(WRITERS, record).await;
    running.applied(EVENTS + EVENTS / 2).await;
    let sustained = rate(EVENTS / 2, started.elapsed());
    println!("{name}: recorded, carried and applied at the same time {sustained:.0} events/s");

    running.inbox.delays.lock().unwrap().clear();
    let (mut number, started) = (0, Instant::now());
    while started.elapsed() < PACED {
        let due = started.elapsed().as_secs_f64() * sustained / 2.0;
        let now = std::iter::from_fn(|| {
            (f64::from(u32::try_from(number).unwrap()) < due).then(|| {
                number += 1;
                number
            })
        });
        stream::iter(now).for_each_concurrent(WRITERS, record).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.applied(EVENTS + EVENTS / 2 + number).await;
    let paced = rate(number, started.elapsed());
    let mut delays = std::mem::take(&mut *running.inbox.delays.lock().unwrap());
    delays.sort_unstable();
    let at = |share: usize| delays[(delays.len() - 1) * share / 100];
    println!("{name}: at {paced:.0} events/s, from recording to applied: median {:.1?}, p99 {:.1?}", at(50), at(99));
    running.stop().await;
}

fn compared(rate: f64, other: Option<f64>, what: &str) -> String {
    let ratio = other.map(|other| format!(", {:.2} of {what} ({other:.0}/s)", rate / other)).unwrap_or_default();
    format!("{rate:.0} events/s{ratio}")
}

/// What a relay pays for a batch while so many rows wait.
async fn claim(store: &Arc<dyn Store>, waiting: usize) -> Duration {
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

async fn deep(name: &str, store: Arc<dyn Store>) {
    let (few, many) = (claim(&store, 20_000).await, claim(&store, 110_000).await);
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!(
        "{name}: claim and confirm {BATCH} rows: {few:.1?} of 20,000 waiting, {many:.1?} of 110,000 ({ratio:.2} times)"
    );
}

async fn on_sqlite(folder: &testkit::TempDir, name: &str) -> Arc<dyn Store> {
    let database = sqlite::open(&testkit::sqlite_url(folder, name), &NOTHING).await.unwrap();
    let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    Arc::new(OnSqlite(database, outbox))
}

#[tokio::main]
async fn main() {
    let folder = testkit::temp_dir();
    let bus = sqlite::Bus::open(&testkit::sqlite_url(&folder, "bus.db"), clock::system()).await.unwrap();
    through("embedded", on_sqlite(&folder, "a.db").await, Arc::new(bus), None).await;
    deep("SQLite", on_sqlite(&folder, "b.db").await).await;
    let (Some(server), Some(nats)) = (Postgres::shared().await, Nats::shared().await) else { return };
    let store = async || {
        let pool = postgres::open(&server.database().await, "bench", &NOTHING, true).await.unwrap();
        Arc::new(OnPostgres(pool)) as Arc<dyn Store>
    };
    let (one, many) = (raw(nats.url(), 1).await, raw(nats.url(), WINDOW).await);
    println!(
        "raw JetStream: {one:.0} events/s one after the other, {many:.0} with {WINDOW} acknowledgements under way"
    );
    let bus = Arc::new(nats::Bus::open(&nats.fresh(), false, clock::system()).await.unwrap());
    published("PostgreSQL and NATS", store().await, bus, Some(many)).await;
    let bus = Arc::new(nats::Bus::open(&nats.fresh(), false, clock::system()).await.unwrap());
    through("PostgreSQL and NATS", store().await, bus, Some(many)).await;
    deep("PostgreSQL", store().await).await;
}
