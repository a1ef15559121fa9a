//! A small service that may die anywhere: it counts up, publishes each number, applies what it hears, and answers.
//!
//! The tests run it as a process of its own (their own binary again, see [`child`]) and kill it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::{Bus, Consumer, Event, Handler, HandlerError, Outbox, Policy, Receipt, Relay, Track, Wake};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::{self, Store};
use super::traps::{Trap, Trapped};

pub(crate) const KEYS: u64 = 7;
pub(crate) const LEASE: Duration = Duration::from_millis(400);

/// Writes down what it hears, and answers a number that was counted with one that was heard.
struct Scribe {
    store: Arc<dyn Store>,
    wake: Wake,
    trap: Arc<Trap>,
}

#[async_trait]
impl Handler for Scribe {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        self.store.apply(event, receipt, &self.trap).await.map_err(HandlerError::transient)?;
        self.wake.poke();
        Ok(())
    }
}

/// Opens the bus of a URL with a lease that a test can wait for.
pub(crate) async fn bus(url: &str, track: Track) -> Arc<dyn Bus> {
    if url.starts_with("nats:") {
        return Arc::new(nats::Bus::open(url, false, clock::system()).await.unwrap().on_track(track).with_lease(LEASE));
    }
    if url.starts_with("kafka:") {
        return Arc::new(kafka::Bus::open(url, false, clock::system()).unwrap().on_track(track).with_lease(LEASE));
    }
    if url.starts_with("amqp:") {
        return Arc::new(rabbitmq::Bus::open(url, clock::system()).unwrap().on_track(track).with_lease(LEASE));
    }
    Arc::new(sqlite::Bus::open(url, clock::system()).await.unwrap().on_track(track).with_lease(LEASE))
}

/// Lives until all is counted, heard, answered and settled.
async fn live(urls: (&str, &str), track: Option<Track>, total: i64, trap: Trap) {
    let trap = Arc::new(trap);
    let store = store::open(urls.0, track).await;
    let bus = bus(urls.1, track.unwrap_or_default()).await;
    let bus: Arc<dyn Bus> = Arc::new(Trapped(bus, Arc::clone(&trap)));
    let outbox: Arc<dyn Outbox> = Arc::new(Trapped(store.outbox(), Arc::clone(&trap)));
    let relay = Relay::new(Arc::clone(&outbox), Arc::clone(&bus));
    let (token, tracker, wake) = (CancellationToken::new(), TaskTracker::new(), relay.wake());
    let scribe = Arc::new(Scribe { store: Arc::clone(&store), wake: wake.clone(), trap });
    let policy = Policy { max_backoff: Duration::from_millis(100), ..Policy::default() };
    let counted = Consumer::new(Arc::clone(&bus), "counted", &["counted.v1"], scribe.clone(), policy.clone());
    let heard = Consumer::new(Arc::clone(&bus), "heard", &["heard.v1"], scribe, policy);
    tracker.spawn(relay.run(token.clone()));
    tracker.spawn(counted.run(token.clone(), tracker.clone()));
    tracker.spawn(heard.run(token.clone(), tracker.clone()));
    while store.count(total).await.unwrap_or(true) {
        wake.poke();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while i64::try_from(store.applied().await.len()).unwrap() < 2 * total || !is_idle(&*bus, &*outbox).await {
        // Looking costs as much as the work that is looked at.
        tokio::time::sleep(LEASE / 2).await;
    }
    token.cancel();
    tracker.close();
    tracker.wait().await;
}

/// Whether nothing is on its way any more.
async fn is_idle(bus: &dyn Bus, outbox: &dyn Outbox) -> bool {
    let waiting = bus.depth("counted").await.unwrap() + bus.depth("heard").await.unwrap();
    waiting == 0 && outbox.depth().await.unwrap().count == 0
}

/// What this program is called with where it is to be such a process.
pub(crate) const ARGUMENTS: [&str; 3] = ["child", "--exact", "--nocapture"];

/// Lives as its environment says; does nothing where that says nothing.
pub(crate) async fn child() {
    let Ok(store) = std::env::var("WORKER_STORE") else { return };
    let bus = std::env::var("WORKER_BUS").unwrap();
    let total = std::env::var("WORKER_TOTAL").unwrap().parse().unwrap();
    let point = std::env::var("WORKER_TRAP").unwrap_or_default();
    let track = std::env::var("WORKER_TRACK").ok().map(|name| match name.as_str() {
        "Canary" => Track::Canary,
        _ => Track::Stable,
    });
    live((&store, &bus), track, total, Trap::new(point)).await;
}
