//! What several tests need: a consumer with an inbox, a publisher that does not give up, and the server's own API.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::jetstream::{self, stream::Stream};
use async_trait::async_trait;
use messaging::{Bus, Consumer, Event, Handler, HandlerError, Policy, Receipt};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const KIND: &str = "thing.happened.v1";
const KINDS: &[&str] = &[KIND];

pub(crate) fn event(key: impl ToString, number: u64) -> Event {
    Event::new(KIND, "test", key, clock::system().now(), number).unwrap()
}

pub(crate) async fn open(url: &str) -> Arc<dyn Bus> {
    Arc::new(nats::Bus::open(url, false, clock::system()).await.unwrap().with_lease(Duration::from_secs(1)))
}

/// The name of the stream of events, or of dead letters.
pub(crate) fn stream_name(url: &str, which: &str) -> String {
    let prefix = url.split("prefix=").nth(1).unwrap().split('&').next().unwrap();
    format!("{prefix}-{which}")
}

/// JetStream as an operator sees it.
pub(crate) async fn operator(url: &str) -> jetstream::Context {
    let servers: Vec<String> = url.split('?').next().unwrap().split(',').map(str::to_owned).collect();
    jetstream::new(async_nats::connect(servers).await.unwrap())
}

pub(crate) async fn events(url: &str) -> Stream {
    operator(url).await.get_stream(stream_name(url, "events")).await.unwrap()
}

/// Publishes, again and again while the bus does not take it.
pub(crate) async fn insist(bus: &Arc<dyn Bus>, events: &[Event]) {
    while bus.publish(events).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Applies each event once, as an inbox does.
#[derive(Default)]
pub(crate) struct Inbox {
    known: Mutex<HashSet<uuid::Uuid>>,
    applied: Mutex<HashMap<String, Vec<u64>>>,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        if self.known.lock().unwrap().insert(event.id) {
            let number = event.decode().map_err(HandlerError::permanent)?;
            self.applied.lock().unwrap().entry(event.key.clone()).or_default().push(number);
        }
        Ok(())
    }
}

impl Inbox {
    /// What was applied, by key.
    pub(crate) fn applied(&self) -> HashMap<String, Vec<u64>> {
        self.applied.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.applied.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// A consumer of the group at work.
pub(crate) struct Member {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Member {
    pub(crate) fn start(bus: Arc<dyn Bus>, inbox: &Arc<Inbox>) -> Self {
        let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
        let consumer = Consumer::new(bus, "group", KINDS, Arc::clone(inbox) as Arc<dyn Handler>, Policy::default());
        tasks.spawn(consumer.run(token.clone(), tasks.clone()));
        Self { token, tasks }
    }

    pub(crate) async fn stop(self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Waits until the group has nothing to do.
pub(crate) async fn settled(bus: &Arc<dyn Bus>) {
    testkit::eventually!(within Duration::from_mins(2), bus.depth("group").await.is_ok_and(|depth| depth == 0));
}
