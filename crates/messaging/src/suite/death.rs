//! Consumers that die in the middle of an event, each in a process of its own: for buses that outlive a process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Broker, DEADLINE, Difference, KINDS,
    applying::settled,
    consumer::{dead_letters, policy},
    event, number, publish,
};
use crate::{Cause, Consumer, Event, Handler, HandlerError, Policy, Receipt};

/// A lease that a case waits for after each death, and that a busy machine does not lose while a consumer lives.
const LEASE: Duration = Duration::from_millis(1_500);

/// A handler that dies of the event 0 and applies all others.
#[derive(Default)]
struct Mortal {
    died: Notify,
    applied: Mutex<Vec<u64>>,
}

#[async_trait]
impl Handler for Mortal {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        if number(event) == 0 {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        self.applied.lock().unwrap().push(number(event));
        Ok(())
    }
}

/// Starts one consumer after the other, each in a process of its own that ends with it, until one of them has given
/// something up. Returns how many died.
async fn succession(broker: &dyn Broker, mortal: &Arc<Mortal>, max_attempts: u32) -> u32 {
    let (observer, mut deaths) = (broker.open(LEASE).await, 0);
    loop {
        let bus = broker.open(LEASE).await;
        let handler = Arc::clone(mortal) as Arc<dyn Handler>;
        let consumer = Consumer::new(bus, "group", KINDS, handler, Policy { max_attempts, ..policy() });
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        process.spawn(consumer.run(CancellationToken::new(), TaskTracker::new()));
        let given_up = async {
            testkit::eventually!(within DEADLINE, !dead_letters(&observer).await.is_empty());
            settled(&observer).await;
        };
        let died = tokio::select! {
            () = mortal.died.notified() => true,
            () = given_up => false,
        };
        // As by SIGKILL: nothing is drained, nothing given back.
        process.shutdown_background();
        if !died {
            return deaths;
        }
        deaths += 1;
    }
}

/// An event whose consumers die in the middle, again and again, is not handed to the next one.
pub async fn what_kills_its_consumer_is_given_up(broker: &dyn Broker) {
    let bus = broker.open(LEASE).await;
    bus.subscribe("group", KINDS).await.unwrap().close().await;
    publish(&bus, &[event("key", 0), event("key", 1)]).await;
    let mortal = Arc::new(Mortal::default());
    let deaths = succession(broker, &mortal, 2).await;
    // One more where the bus does not know what a member died of before it was tried alone.
    let most = 2 + u32::from(broker.differs(Difference::ReadAheadCounts));
    assert!((2..=most).contains(&deaths), "{deaths} deaths");
    assert_eq!(*mortal.applied.lock().unwrap(), [1]);
    assert_eq!(dead_letters(&bus).await.remove(0).reason.cause, Cause::Deadly);
}

/// Whatever a member had read ahead when it died of another event is not blamed for that death.
pub async fn what_kills_its_consumers_takes_nobody_along(broker: &dyn Broker) {
    const OTHERS: u64 = 64;
    let bus = broker.open(LEASE).await;
    bus.subscribe("group", KINDS).await.unwrap().close().await;
    // Before and behind it, in its partition and in others.
    let events: Vec<Event> = (1..=OTHERS / 2).map(|n| event(n, n)).chain([event("poison", 0)]).collect();
    publish(&bus, &events).await;
    publish(&bus, &(OTHERS / 2 + 1..=OTHERS).map(|n| event(n, n)).collect::<Vec<_>>()).await;
    let mortal = Arc::new(Mortal::default());
    let deaths = succession(broker, &mortal, 3).await;
    assert!(deaths >= 3, "{deaths} deaths");
    let dead_letters = dead_letters(&bus).await;
    assert!(dead_letters.iter().all(|dead_letter| dead_letter.reason.cause == Cause::Deadly));
    let given_up: BTreeSet<u64> = dead_letters.iter().map(|dead_letter| number(&dead_letter.event)).collect();
    let mut seen: BTreeSet<u64> = mortal.applied.lock().unwrap().iter().copied().collect();
    if broker.differs(Difference::BlamesWhatWasInHand) {
        seen.extend(&given_up);
    } else {
        assert_eq!(given_up, BTreeSet::from([0]));
        seen.insert(0);
    }
    assert!(given_up.contains(&0));
    assert_eq!(seen, (0..=OTHERS).collect());
}
