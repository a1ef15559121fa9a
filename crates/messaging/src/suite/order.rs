//! Order per key, retries, leases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{
    Broker, Difference, LONG, SHORT, applying::settled, either, event, finish, join, number, numbers, one, publish,
    silence,
};
use crate::{Cause, Delivery, Error, Event, Reason, Subscription};

/// While an event is in hand, no later one of its key is delivered to anybody.
pub async fn a_key_is_in_one_pair_of_hands(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let (a, b) = (join(&bus, "group").await, join(&other, "group").await);
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    let first = one(&a).await;
    silence(&a).await;
    silence(&b).await;
    a.ack(&first).await.unwrap();
    let second = either(&a, &b, 1).await;
    assert_eq!(numbers(&second), [2]);
}

/// A retry keeps its key waiting, and nobody else.
pub async fn a_retry_holds_back_its_key_only(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    publish(&bus, &[event("bad", 1), event("bad", 2)]).await;
    let bad = one(&subscription).await;
    subscription.retry(&bad, Duration::from_secs(4)).await.unwrap();
    let good: Vec<Event> = (10..15).map(|n| event("good", n)).collect();
    publish(&bus, &good).await;
    assert_eq!(numbers(&finish(&subscription, 5).await), [10, 11, 12, 13, 14]);
    assert_eq!(numbers(&finish(&subscription, 2).await), [1, 2]);
}

/// A retry comes after its pause, not before and not much later.
pub async fn a_retry_waits_as_long_as_asked(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    publish(&bus, &[event("key", 1)]).await;
    let delivery = one(&subscription).await;
    let pause = Duration::from_millis(300);
    let started = Instant::now();
    subscription.retry(&delivery, pause).await.unwrap();
    one(&subscription).await;
    let waited = started.elapsed();
    assert!(waited >= pause && waited < Duration::from_secs(8), "waited {waited:?}");
}

/// Each delivery counts, durably.
pub async fn attempts_are_counted(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    publish(&bus, &[event("key", 1)]).await;
    for attempt in 1..4 {
        let subscription = join(&broker.open(LONG).await, "group").await;
        let delivery = one(&subscription).await;
        // Where what is read ahead counts, it may have come to the member that was about to leave.
        let most = if broker.differs(Difference::ReadAheadCounts) { 2 * attempt - 1 } else { attempt };
        assert!((attempt..=most).contains(&delivery.attempt), "{} instead of {attempt}", delivery.attempt);
        subscription.retry(&delivery, Duration::ZERO).await.unwrap();
        subscription.close().await;
    }
}

/// What is given back untried comes at once, to anybody, and as if it had not been delivered.
pub async fn a_release_does_not_count(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let (a, b) = (join(&bus, "group").await, join(&broker.open(LONG).await, "group").await);
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    let delivery = one(&a).await;
    a.release(&delivery).await.unwrap();
    let again = either(&a, &b, 1).await.remove(0);
    assert_eq!((number(&again.event), again.attempt), (1, 1));
    assert!(matches!(a.ack(&delivery).await, Err(Error::Lost)));
}

/// A consumer that dies keeps its deliveries only until their lease ends; then they come first, and counted.
pub async fn the_deliveries_of_the_dead_come_back(broker: &dyn Broker) {
    let dying = broker.open(SHORT).await;
    publish(&dying, &[event("key", 1), event("key", 2)]).await;
    let held = one(&join(&dying, "group").await).await;
    assert_eq!(number(&held.event), 1);
    drop(dying);
    let subscription = join(&broker.open(LONG).await, "group").await;
    let again = one(&subscription).await;
    assert_eq!((number(&again.event), again.attempt), (1, 2));
    subscription.ack(&again).await.unwrap();
    assert_eq!(numbers(&finish(&subscription, 1).await), [2]);
}

/// Whoever lost a lease can do nothing to the delivery any more.
pub async fn a_lost_delivery_cannot_be_settled(broker: &dyn Broker) {
    // One that ends within the case, and not before the second member has settled what it took.
    let lease = Duration::from_secs(2);
    let bus = broker.open(lease).await;
    let (a, b) = (join(&bus, "group").await, join(&broker.open(lease).await, "group").await);
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    let late = one(&a).await;
    let taken = one(&b).await;
    assert_eq!(taken.event.id, late.event.id);
    let reason = Reason { cause: Cause::Permanent, detail: "late".to_owned() };
    assert!(matches!(a.ack(&late).await, Err(Error::Lost)));
    assert!(matches!(a.retry(&late, Duration::ZERO).await, Err(Error::Lost)));
    assert!(matches!(a.release(&late).await, Err(Error::Lost)));
    assert!(matches!(a.extend(&late).await, Err(Error::Lost)));
    assert!(matches!(a.dead_letter(&late, reason).await, Err(Error::Lost)));
    assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
    silence(&a).await;
    b.ack(&taken).await.unwrap();
    assert!(matches!(b.ack(&taken).await, Err(Error::Lost)), "done is done");
}

/// Renewing keeps a delivery beyond its first lease.
pub async fn an_extended_lease_lasts(broker: &dyn Broker) {
    let bus = broker.open(Duration::from_secs(3)).await;
    let (a, b) = (join(&bus, "group").await, join(&bus, "group").await);
    publish(&bus, &[event("key", 1)]).await;
    let delivery = one(&a).await;
    let renew = async {
        for _ in 0..9 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            a.extend(&delivery).await.unwrap();
        }
    };
    tokio::select! {
        () = renew => {}
        fetched = b.fetch(1) => panic!("somebody else got {fetched:?}"),
    }
    a.ack(&delivery).await.unwrap();
}

type Seen = Arc<Mutex<HashMap<String, Vec<u64>>>>;

/// Three members that acknowledge, retry, give back and forget at random: each key's events are done in order.
pub async fn order_per_key_survives_everything(broker: &dyn Broker) {
    const KEYS: u64 = 12;
    const EACH: u64 = 10;
    let bus = broker.open(SHORT).await;
    let seen = Seen::default();
    let mut members = Vec::new();
    for seed in 0..3 {
        let subscription = join(&broker.open(SHORT).await, "group").await;
        members.push(erratic(subscription, Arc::clone(&seen), StdRng::seed_from_u64(seed)));
    }
    let publisher = async {
        for n in 0..EACH {
            let round: Vec<Event> = (0..KEYS).map(|key| event(key, n)).collect();
            publish(&bus, &round).await;
        }
        settled(&bus).await;
    };
    tokio::select! {
        () = publisher => {}
        _ = futures::future::join_all(members) => {}
    }
    let expected: Vec<u64> = (0..EACH).collect();
    for (key, done) in seen.lock().unwrap().iter() {
        let mut once = done.clone();
        // A delivery whose acknowledgement came too late may be done twice, but never out of turn.
        once.dedup();
        assert_eq!(once, expected, "key {key}: {done:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), usize::try_from(KEYS).unwrap());
}

async fn erratic(subscription: Arc<dyn Subscription>, seen: Seen, mut random: StdRng) {
    loop {
        for delivery in subscription.fetch(4).await.unwrap() {
            match random.random_range(0..10) {
                0..6 => done(&*subscription, &delivery, &seen).await,
                6 | 7 => drop(subscription.retry(&delivery, Duration::from_millis(random.random_range(0..40))).await),
                8 => drop(subscription.release(&delivery).await),
                _ => {}
            }
        }
    }
}

async fn done(subscription: &dyn Subscription, delivery: &Delivery, seen: &Seen) {
    // Only the holder of the lease may write: this is where a handler's transaction would be.
    if subscription.extend(delivery).await.is_ok() {
        let number = number(&delivery.event);
        seen.lock().unwrap().entry(delivery.event.key.clone()).or_default().push(number);
        drop(subscription.ack(delivery).await);
    }
}
