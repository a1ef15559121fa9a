//! Measures the way of an event from the outbox until it is applied, on each bus, as ratios to what the broker's own client
//! library does by itself in the same run.
//!
//! `make bench-messaging`. The servers are started here, on loopback; some minutes in all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod load;
mod ours;
mod raw;
mod stores;

use std::sync::Arc;
use std::time::Duration;

use messaging::Bus;
use testkit::servers;

use load::Delays;
use ours::Applied;
use raw::Raw;
use stores::{NOTHING, OnPostgres, Store};

/// Events of a batch, as the relay takes them.
const BATCH: usize = 256;

/// What was measured of one bus.
struct Row {
    name: &'static str,
    /// What the client library does: published and received a second, and delays at the pace of ours.
    raw: Option<(f64, f64, Delays)>,
    sent: f64,
    published: f64,
    handled: f64,
    applied: Applied,
}

impl Row {
    /// A rate, with its part of what the client library does.
    fn rate(rate: f64, raw: Option<f64>) -> String {
        raw.map_or_else(|| format!("{rate:.0}"), |raw| format!("{rate:.0} ({:.2} of {raw:.0})", rate / raw))
    }

    fn delay(delay: Duration, raw: Option<Duration>) -> String {
        let milliseconds = |delay: Duration| delay.as_secs_f64() * 1_000.0;
        let raw = raw.map(|raw| format!(" ({:.1})", milliseconds(raw))).unwrap_or_default();
        format!("{:.1}{raw}", milliseconds(delay))
    }

    fn print(&self) {
        let (publishing, receiving) =
            (self.raw.as_ref().map(|(published, ..)| *published), self.raw.as_ref().map(|(_, received, _)| *received));
        let delays = self.raw.as_ref().map(|(.., delays)| *delays);
        println!(
            "| {} | {} | {} | {} | {} | {:.0} | {} | {} |",
            self.name,
            Self::rate(self.sent, publishing),
            Self::rate(self.published, publishing),
            Self::rate(self.handled, receiving),
            Self::rate(self.applied.full, receiving),
            self.applied.sustained,
            Self::delay(self.applied.delays.median, delays.map(|delays| delays.median)),
            Self::delay(self.applied.delays.p99, delays.map(|delays| delays.p99)),
        );
    }
}

/// Measures one bus. Each part has a store and names of its own.
async fn measure(
    name: &'static str,
    store: impl AsyncFn() -> Arc<dyn Store>,
    bus: impl AsyncFn() -> Arc<dyn Bus>,
    raw: Option<impl AsyncFn() -> Box<dyn Raw>>,
) -> Row {
    eprintln!("{name} …");
    let rates = match &raw {
        Some(raw) => Some((raw::published(&*raw().await).await, raw::received(&*raw().await).await)),
        None => None,
    };
    let sent = ours::sent(&*bus().await, BATCH).await;
    let published = ours::published(store().await, bus().await).await;
    let handled = ours::handled(&bus().await, BATCH).await;
    let applied = ours::through(store().await, bus().await).await;
    let raw = match (raw, rates) {
        (Some(raw), Some((publishing, receiving))) => {
            Some((publishing, receiving, raw::delays(&*raw().await, applied.sustained / 2.0).await))
        }
        _ => None,
    };
    Row { name, raw, sent, published, handled, applied }
}

fn fresh() -> String {
    format!("bench-{}", uuid::Uuid::now_v7().simple())
}

/// The address of a bus with new names, as large as it is by default.
fn named(url: &str) -> String {
    format!("{url}?prefix={}", fresh())
}

async fn embedded() -> Row {
    let folder = testkit::temp_dir();
    let store = async || stores::on_sqlite(&folder, &format!("{}.db", fresh())).await;
    let bus = async || {
        let url = testkit::sqlite_url(&folder, &format!("{}.db", fresh()));
        Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap()) as Arc<dyn Bus>
    };
    measure("embedded", store, bus, None::<fn() -> std::future::Pending<Box<dyn Raw>>>).await
}

async fn on_servers(postgres: &servers::Postgres) -> Vec<Row> {
    let store = async || {
        let pool = postgres::open(&postgres.database().await, "bench", &NOTHING, true).await.unwrap();
        Arc::new(OnPostgres(pool)) as Arc<dyn Store>
    };
    let mut rows = Vec::new();
    if let Some(server) = servers::Nats::shared().await {
        let url = server.url();
        let bus =
            async || Arc::new(nats::Bus::open(&named(url), false, clock::system()).await.unwrap()) as Arc<dyn Bus>;
        let raw = async || Box::new(raw::Nats::open(url, &fresh()).await) as Box<dyn Raw>;
        rows.push(measure("NATS JetStream", &store, bus, Some(raw)).await);
    }
    if let Some(server) = servers::Kafka::shared().await {
        let url = server.url();
        let bus = async || Arc::new(kafka::Bus::open(&named(url), false, clock::system()).unwrap()) as Arc<dyn Bus>;
        let raw = async || Box::new(raw::Kafka::open(url, &fresh()).await) as Box<dyn Raw>;
        rows.push(measure("Kafka", &store, bus, Some(raw)).await);
    }
    if let Some(server) = servers::RabbitMq::shared().await {
        let url = server.url();
        let bus = async || Arc::new(rabbitmq::Bus::open(&named(url), clock::system()).unwrap()) as Arc<dyn Bus>;
        let raw = async || Box::new(raw::RabbitMq::open(url, &fresh()).await) as Box<dyn Raw>;
        rows.push(measure("RabbitMQ", &store, bus, Some(raw)).await);
    }
    rows
}

#[tokio::main]
async fn main() {
    let folder = testkit::temp_dir();
    let mut rows = vec![embedded().await];
    let on_sqlite = stores::on_sqlite(&folder, "deep.db").await;
    let Some(server) = servers::Postgres::shared().await else { return };
    let pool = postgres::open(&server.database().await, "bench", &NOTHING, true).await.unwrap();
    let on_postgres = OnPostgres(pool);
    println!("Receipts that PostgreSQL takes by itself: {:.0} a second.", stores::receipts(&on_postgres).await);
    rows.extend(on_servers(server).await);
    println!();
    println!(
        "| bus | published /s | published from the outbox /s | published to handled /s | outbox to applied /s | recorded, carried and applied /s | recorded to applied at half of that: median, ms | p99, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    rows.iter().for_each(Row::print);
    println!();
    stores::deep("SQLite", &*on_sqlite).await;
    stores::deep("PostgreSQL", &on_postgres).await;
}
