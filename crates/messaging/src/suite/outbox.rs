//! Outbox and relay over a store.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{DEADLINE, LONG, QUIET, SHORT, Store, Stores, event, number};
use crate::{
    Bus, DeadLetter, Effects, Error, Event, Outbox, OutboxRow, Recorded, Relay, Resolution, Subscription, Tail, Wake,
};

async fn record(store: &Arc<dyn Store>, events: Vec<Event>) {
    let (recorded, open) = store.begin(&Effects::of(events)).await;
    assert_eq!(recorded, Recorded::First);
    open.commit().await;
}

fn claimed_numbers(rows: &[OutboxRow]) -> Vec<u64> {
    rows.iter().map(|row| number(&row.event)).collect()
}

async fn claim(store: &Arc<dyn Store>, owner: &str) -> Vec<OutboxRow> {
    store.outbox().claim(owner, 100).await.unwrap()
}

fn in_(pause: Duration) -> time::OffsetDateTime {
    clock::system().now() + pause
}

/// Rolled back, the events have never been; committed, they are there.
pub async fn events_are_stored_with_their_transaction(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let (_, open) = store.begin(&Effects::of(vec![event("key", 1)])).await;
    open.roll_back().await;
    assert_eq!(store.outbox().depth().await.unwrap().count, 0);
    record(&store, vec![event("key", 2)]).await;
    assert_eq!(claimed_numbers(&claim(&stores.open(LONG).await, "relay").await), [2]);
}

/// Rows of a key come in the order of their transactions, as they were recorded; at most as many as asked for, of any key.
pub async fn rows_come_in_order_and_whole(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let events: Vec<Event> = (0..6).map(|n| event(n % 2, n).about("subject")).collect();
    for pair in events.chunks(2) {
        record(&store, pair.to_vec()).await;
    }
    let claimed = store.outbox().claim("relay", 4).await.unwrap();
    assert!(claimed.len() == 4 && claimed.iter().all(|row| row.attempts == 0));
    for key in ["0", "1"] {
        let of_key = |event: &&Event| event.key == key;
        let read: Vec<String> = claimed.iter().map(|row| &row.event).filter(of_key).map(|e| format!("{e:?}")).collect();
        let sent: Vec<String> = events.iter().filter(of_key).map(|e| format!("{e:?}")).collect();
        assert!(!read.is_empty() && sent.starts_with(&read), "{read:?} of {sent:?}");
    }
}

/// Confirmed is gone; the rest stays.
pub async fn confirmed_rows_are_gone(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    record(&store, (0..3).map(|n| event("key", n)).collect()).await;
    let claimed = claim(&store, "relay").await;
    store.outbox().confirm(&claimed[..2]).await.unwrap();
    store.outbox().confirm(&[]).await.unwrap();
    assert_eq!(claimed_numbers(&claim(&store, "relay").await), [2]);
}

/// While a relay holds the outbox, another one gets nothing.
pub async fn one_relay_at_a_time(stores: &dyn Stores) {
    let (store, other) = (stores.open(LONG).await, stores.open(LONG).await);
    record(&store, vec![event("key", 1)]).await;
    let first = claim(&store, "first").await;
    assert!(claim(&other, "second").await.is_empty());
    let again = claim(&store, "first").await;
    assert_eq!((again[0].fence, again.len()), (first[0].fence, 1), "renewing is not a change of owner");
}

/// A relay that slept through the end of its lease can change nothing once another one has taken over.
pub async fn a_stale_relay_is_refused(stores: &dyn Stores) {
    let (store, other) = (stores.open(SHORT).await, stores.open(LONG).await);
    record(&store, vec![event("key", 1), event("key", 2)]).await;
    let stale = claim(&store, "first").await;
    let current = testkit::eventually!(within DEADLINE, {
        let claimed = claim(&other, "second").await;
        (!claimed.is_empty()).then_some(claimed)
    });
    assert!(current[0].fence > stale[0].fence);
    let outbox = store.outbox();
    assert!(matches!(outbox.confirm(&stale).await, Err(Error::Stale)));
    assert!(matches!(outbox.fail(&stale[0], "stale", None).await, Err(Error::Stale)));
    outbox.release("first").await.unwrap();
    assert!(claim(&store, "first").await.is_empty(), "the stale relay has not released what is not its own");
    other.outbox().confirm(&current).await.unwrap();
    assert_eq!(other.outbox().depth().await.unwrap().count, 0);
}

/// A relay that ends does not keep the next one waiting.
pub async fn a_released_lease_is_free_at_once(stores: &dyn Stores) {
    let (store, other) = (stores.open(LONG).await, stores.open(LONG).await);
    record(&store, vec![event("key", 1)]).await;
    let first = claim(&store, "first").await;
    store.outbox().release("first").await.unwrap();
    let second = claim(&other, "second").await;
    assert_eq!(second.len(), 1);
    assert!(second[0].fence > first[0].fence);
}

/// A refused row waits, and its key with it; other keys go on.
pub async fn a_refused_row_holds_back_its_key_only(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    record(&store, vec![event("bad", 1), event("bad", 2), event("good", 3)]).await;
    let claimed = claim(&store, "relay").await;
    let pause = Duration::from_secs(2);
    store.outbox().fail(&claimed[0], "too long", Some(pause)).await.unwrap();
    assert_eq!(claimed_numbers(&claim(&store, "relay").await), [3]);
    let later = testkit::eventually!(within DEADLINE, {
        let claimed = claim(&store, "relay").await;
        (claimed.len() == 3).then_some(claimed)
    });
    assert_eq!(claimed_numbers(&later), [1, 2, 3]);
    assert_eq!(later[0].attempts, 1);
}

/// A row given up frees its key, is counted, and comes again when it is revived.
pub async fn a_dead_row_frees_its_key_and_can_be_revived(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    record(&store, vec![event("bad", 1), event("bad", 2)]).await;
    let claimed = claim(&store, "relay").await;
    store.outbox().fail(&claimed[0], "never", None).await.unwrap();
    assert_eq!(claimed_numbers(&claim(&store, "relay").await), [2]);
    let depth = store.outbox().depth().await.unwrap();
    assert_eq!((depth.count, depth.dead), (1, 1));
    assert_eq!(store.outbox().revive(None).await.unwrap(), 1);
    assert_eq!(claimed_numbers(&claim(&store, "relay").await), [1, 2]);
}

/// Dead rows are shown with their events and reasons, and one of them alone can be brought back.
pub async fn a_dead_row_comes_back_by_its_id(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let events: Vec<Event> = (0..3).map(|n| event("key", n)).collect();
    record(&store, events.clone()).await;
    let outbox = store.outbox();
    for row in claim(&store, "relay").await {
        outbox.fail(&row, "too large", None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await; // one after the other by the store's clock too
    }
    let dead = outbox.dead(9).await.unwrap();
    let shown: Vec<String> = dead.iter().map(|row| format!("{:?}", row.event.as_ref().unwrap())).collect();
    assert_eq!(shown, events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>());
    for row in &dead {
        assert_eq!((row.reason.as_str(), row.attempts), ("too large", 1));
        assert!(row.dead_at > in_(Duration::ZERO) - DEADLINE && row.dead_at < in_(DEADLINE), "{}", row.dead_at);
    }
    assert_eq!(outbox.dead(2).await.unwrap().len(), 2);
    assert_eq!(outbox.revive(Some(events[1].id)).await.unwrap(), 1);
    assert_eq!(outbox.revive(Some(events[1].id)).await.unwrap(), 0, "it is not dead any more");
    let revived = claim(&store, "relay").await;
    assert_eq!((claimed_numbers(&revived), revived[0].attempts), (vec![1], 0));
    assert_eq!(outbox.depth().await.unwrap().dead, 2);
}

/// What cannot be read is set aside; all others go on, also those of its key.
pub async fn one_row_that_cannot_be_read_holds_up_no_other(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let events = [event("bad", 1), event("bad", 2), event("good", 3)];
    record(&store, events.to_vec()).await;
    store.spoil(&events[0]).await;
    let outbox = store.outbox();
    let claimed = async || {
        let mut numbers = claimed_numbers(&claim(&store, "relay").await);
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(claimed().await, [2, 3]);
    let depth = outbox.depth().await.unwrap();
    assert_eq!((depth.count, depth.dead), (2, 1));
    let dead = outbox.dead(9).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].event.is_none() && dead[0].reason.starts_with("cannot read an event: "), "{dead:?}");
    // Who has repaired it, or has a newer version, brings it back; where nobody did, it is set aside again.
    assert_eq!(outbox.revive(None).await.unwrap(), 1);
    assert_eq!(claimed().await, [2, 3]);
    assert_eq!(outbox.depth().await.unwrap().dead, 1);
}

/// Depth is what waits and how long the oldest has waited.
pub async fn depth_tells_count_and_age(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    assert_eq!(store.outbox().depth().await.unwrap(), crate::Depth::default());
    let old = Event { time: in_(Duration::ZERO) - Duration::from_mins(1), ..event("key", 1) };
    record(&store, vec![event("key", 2), old]).await;
    let depth = store.outbox().depth().await.unwrap();
    assert_eq!(depth.count, 2);
    assert!(depth.oldest.is_some_and(|age| age >= Duration::from_mins(1) && age < Duration::from_mins(2)));
}

/// A bus that keeps what it is given, after failing as often as it is told, and refuses one number for ever.
#[derive(Default)]
struct Fake {
    log: Mutex<Vec<Event>>,
    failures: AtomicUsize,
    refused: Option<u64>,
}

#[async_trait]
impl Bus for Fake {
    fn system(&self) -> &'static str {
        "fake"
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::bus("broken"));
        }
        if let Some(bad) = events.iter().find(|event| Some(number(event)) == self.refused) {
            return Err(Error::Rejected { id: bad.id, reason: "too large".to_owned() });
        }
        self.log.lock().unwrap().extend_from_slice(events);
        Ok(())
    }

    async fn subscribe(&self, _: &str, _: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        Err(Error::bus("no subscriptions here"))
    }

    async fn tail(&self, _: &[&str], _: u64) -> Result<Box<dyn Tail>, Error> {
        Err(Error::bus("no tails here"))
    }

    async fn dead_letters(&self, _: Option<&str>, _: usize) -> Result<Vec<DeadLetter>, Error> {
        Ok(Vec::new())
    }

    async fn resolve(&self, _: &str, _: &[Uuid], _: Resolution) -> Result<u64, Error> {
        Ok(0)
    }

    async fn depth(&self, _: &str) -> Result<u64, Error> {
        Ok(0)
    }

    async fn count_dead_letters(&self, _: &str) -> Result<u64, Error> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn close(&self) {}
}

impl Fake {
    fn numbers(&self) -> Vec<u64> {
        self.log.lock().unwrap().iter().map(number).collect()
    }
}

struct Relaying {
    token: CancellationToken,
    wake: Wake,
    run: JoinHandle<()>,
}

fn relay(outbox: Arc<dyn Outbox>, bus: &Arc<Fake>) -> Relaying {
    let relay = Relay::new(outbox, Arc::clone(bus) as Arc<dyn Bus>);
    let (token, wake) = (CancellationToken::new(), relay.wake());
    let work = relay.run(token.clone());
    let run = TaskTracker::new().spawn(async move { work.await.unwrap() });
    Relaying { token, wake, run }
}

impl Relaying {
    async fn stop(self) {
        self.token.cancel();
        self.run.await.unwrap();
    }
}

/// What is recorded is published, in order, at once when the relay is poked, and the outbox ends empty.
pub async fn the_relay_publishes_in_order(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let bus = Arc::new(Fake::default());
    record(&store, (0..150).map(|n| event("key", n)).collect()).await;
    let relaying = relay(store.outbox(), &bus);
    testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().count == 0);
    // Who is not woken finds out about 450 ms later, each time; a busy machine is not that slow ten times in a row.
    let (mut waits, mut last) = (Vec::new(), 149);
    while !waits.iter().any(|wait| *wait < Duration::from_millis(300)) {
        assert!(waits.len() < 10, "never woken: {waits:?}");
        testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().count == 0);
        tokio::time::sleep(Duration::from_millis(50)).await; // it looks once more, and rests
        last += 1;
        let started = std::time::Instant::now();
        record(&store, vec![event("key", last)]).await;
        relaying.wake.poke();
        testkit::eventually!(within DEADLINE, bus.numbers().last() == Some(&last));
        waits.push(started.elapsed());
    }
    record(&store, vec![event("key", last + 1)]).await;
    relaying.stop().await;
    assert_eq!(bus.numbers(), (0..last + 2).collect::<Vec<_>>(), "the last one is published before the relay ends");
}

/// A relay that does not publish takes nothing and holds nobody up: one that does publishes all.
pub async fn a_relay_that_is_not_to_publish_leaves_everything(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let bus = Arc::new(Fake::default());
    record(&store, (0..5).map(|n| event("key", n)).collect()).await;
    let idle = Relay::new(store.outbox(), Arc::clone(&bus) as Arc<dyn Bus>).publishing(false);
    let (token, wake) = (CancellationToken::new(), idle.wake());
    let running = TaskTracker::new().spawn(idle.run(token.clone()));
    wake.poke();
    tokio::time::sleep(QUIET * 4).await;
    assert!(bus.numbers().is_empty() && store.outbox().depth().await.unwrap().count == 5);
    let relaying = relay(store.outbox(), &bus);
    testkit::eventually!(within DEADLINE, bus.numbers() == [0, 1, 2, 3, 4]);
    relaying.stop().await;
    record(&store, vec![event("key", 5)]).await;
    token.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(store.outbox().depth().await.unwrap().count, 1, "nor at the end");
}

/// A bus that is down costs time and nothing else.
pub async fn the_relay_outlives_a_broken_bus(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let bus = Arc::new(Fake { failures: AtomicUsize::new(4), ..Fake::default() });
    record(&store, (0..5).map(|n| event("key", n)).collect()).await;
    let relaying = relay(store.outbox(), &bus);
    testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().count == 0);
    relaying.stop().await;
    assert_eq!(bus.numbers(), (0..5).collect::<Vec<_>>());
    assert_eq!(store.outbox().depth().await.unwrap().dead, 0);
}

/// An event that the bus will not take is put aside in the end; until then only its key waits.
pub async fn the_relay_gets_round_a_refused_event(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    let bus = Arc::new(Fake { refused: Some(1), ..Fake::default() });
    record(&store, vec![event("bad", 1), event("bad", 2), event("good", 3), event("good", 4)]).await;
    let relaying = relay(store.outbox(), &bus);
    testkit::eventually!(within DEADLINE, bus.numbers() == [3, 4]);
    testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().count == 2);
    testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().dead == 1);
    testkit::eventually!(within DEADLINE, bus.numbers() == [3, 4, 2]);
    relaying.stop().await;
}

/// Two relays in two processes that come and go publish everything, each key in order; only a kill repeats.
pub async fn two_relays_publish_everything_once(stores: &dyn Stores) {
    let lease = Duration::from_secs(3);
    let (store, other) = (stores.open(lease).await, stores.open(lease).await);
    let bus = Arc::new(Fake::default());
    let mut relays = vec![relay(store.outbox(), &bus), relay(other.outbox(), &bus)];
    for n in 0..60_u64 {
        let writer = if n.is_multiple_of(2) { &store } else { &other };
        record(writer, (0..4).map(|key| event(key, n)).collect()).await;
        relays[usize::from(n % 3 == 0)].wake.poke();
        if n % 20 == 10 {
            relays.remove(0).stop().await;
            relays.push(relay(store.outbox(), &bus));
        }
    }
    testkit::eventually!(within DEADLINE, store.outbox().depth().await.unwrap().count == 0);
    for relaying in relays {
        relaying.stop().await;
    }
    let log = bus.log.lock().unwrap();
    let mut keys: HashMap<&str, Vec<u64>> = HashMap::new();
    for event in log.iter() {
        keys.entry(&event.key).or_default().push(number(event));
    }
    assert_eq!(keys.len(), 4);
    assert!(keys.values().all(|numbers| *numbers == (0..60).collect::<Vec<_>>()), "{keys:?}");
    assert_eq!(log.iter().map(|event| event.id).collect::<HashSet<_>>().len(), log.len());
}

/// More than one batch is forgotten in each round of the upkeep, of which there are three in this time. The newest 10,000
/// may stay, however old they are.
pub async fn old_receipts_are_forgotten_faster_than_they_come(stores: &dyn Stores) {
    let store = stores.open(LONG).await;
    store.receive_long_ago(14_000).await;
    assert_eq!(store.receipts().await, 14_000);
    let relaying = relay(store.outbox(), &Arc::new(Fake::default()));
    testkit::eventually!(within DEADLINE, store.receipts().await <= 10_000);
    relaying.stop().await;
}
