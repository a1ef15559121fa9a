//! Events through Trireme's bus, from an outbox until they are applied.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use messaging::{Bus, Consumer, Effects, Event, Handler, HandlerError, Policy, Receipt, Relay, Wake};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    load::{Delays, EVENTS, KIND, age, event, paced, rate},
    stores::{Store, fill},
};

/// Applies events: an inbox row in a transaction, where there is a store.
struct Inbox {
    store: Option<Arc<dyn Store>>,
    applied: AtomicUsize,
    delays: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        if let Some(store) = &self.store {
            let _ = store.record(&Effects::default().caused_by(receipt)).await;
        }
        self.delays.lock().unwrap().push(age(event));
        self.applied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A consumer, and what it has applied.
struct Applying {
    inbox: Arc<Inbox>,
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Applying {
    fn start(bus: &Arc<dyn Bus>, group: &'static str, store: Option<Arc<dyn Store>>) -> Self {
        let inbox = Arc::new(Inbox { store, applied: AtomicUsize::new(0), delays: Mutex::default() });
        let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
        let consumer = Consumer::new(Arc::clone(bus), group, &[KIND], inbox.clone(), Policy::default());
        tasks.spawn(consumer.run(token.clone(), tasks.clone()));
        Self { inbox, token, tasks }
    }

    async fn applied(&self, count: usize) {
        while self.inbox.applied.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn delays(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.inbox.delays.lock().unwrap())
    }

    async fn stop(self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Events per second that the relay takes from a full outbox to the bus.
pub(crate) async fn published(store: Arc<dyn Store>, bus: Arc<dyn Bus>) -> f64 {
    fill(&*store).await;
    let (token, outbox) = (CancellationToken::new(), store.outbox());
    let relay = Relay::new(store.outbox(), bus);
    let started = Instant::now();
    let relaying = TaskTracker::new().spawn(relay.run(token.clone()));
    while outbox.depth().await.unwrap().count > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let published = rate(EVENTS, started.elapsed());
    token.cancel();
    relaying.await.unwrap().unwrap();
    published
}

/// Events per second that the bus takes, in batches of a relay's size.
pub(crate) async fn sent(bus: &dyn Bus, batch: usize) -> f64 {
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let started = Instant::now();
    for batch in events.chunks(batch) {
        bus.publish(batch).await.unwrap();
    }
    rate(EVENTS, started.elapsed())
}

/// Events per second through the bus alone, to a handler that does nothing: published in batches of a relay's size.
pub(crate) async fn handled(bus: &Arc<dyn Bus>, batch: usize) -> f64 {
    let applying = Applying::start(bus, "alone", None);
    bus.publish(&[event(0)]).await.unwrap();
    applying.applied(1).await;
    let started = Instant::now();
    sent(&**bus, batch).await;
    applying.applied(EVENTS + 1).await;
    let handled = rate(EVENTS, started.elapsed());
    applying.stop().await;
    handled
}

/// What became of events from an outbox until they were applied.
pub(crate) struct Applied {
    /// A second, from a full outbox.
    pub(crate) full: f64,
    /// A second, while they are recorded, carried and applied at the same time.
    pub(crate) sustained: f64,
    /// At half of that, from recording to applied.
    pub(crate) delays: Delays,
}

/// Events recorded at the same time, as many as go.
const WRITERS: usize = 8;

pub(crate) async fn through(store: Arc<dyn Store>, bus: Arc<dyn Bus>) -> Applied {
    fill(&*store).await;
    let relay = Relay::new(store.outbox(), Arc::clone(&bus));
    let (token, wake): (CancellationToken, Wake) = (CancellationToken::new(), relay.wake());
    let started = Instant::now();
    let relaying = TaskTracker::new().spawn(relay.run(token.clone()));
    let applying = Applying::start(&bus, "bench", Some(Arc::clone(&store)));
    applying.applied(EVENTS).await;
    let full = rate(EVENTS, started.elapsed());

    // As a request does: records, and pokes the relay.
    let record = async |number: usize| {
        let _ = store.record(&Effects::of(vec![event(number)])).await;
        wake.poke();
    };
    let started = Instant::now();
    stream::iter(0..EVENTS / 2).for_each_concurrent(WRITERS, &record).await;
    applying.applied(EVENTS + EVENTS / 2).await;
    let sustained = rate(EVENTS / 2, started.elapsed());

    applying.delays();
    let sent = paced(sustained / 2.0, &record).await;
    applying.applied(EVENTS + EVENTS / 2 + sent).await;
    let delays = Delays::of(applying.delays());
    applying.stop().await;
    token.cancel();
    relaying.await.unwrap().unwrap();
    Applied { full, sustained, delays }
}
