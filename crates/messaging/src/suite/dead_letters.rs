//! Dead letters and their replay.

use std::sync::Arc;

use super::{Broker, DEADLINE, LONG, event, finish, join, number, numbers, one, publish, replay, silence};
use crate::{Bus, Cause, Event, Reason, Resolution, Subscription};

fn reason(detail: &str) -> Reason {
    Reason { cause: Cause::Permanent, detail: detail.to_owned() }
}

/// Publishes an event and has the group give it up.
async fn dead_letter(bus: &Arc<dyn Bus>, subscription: &Arc<dyn Subscription>) -> Event {
    let event = event("key", 1);
    publish(bus, std::slice::from_ref(&event)).await;
    let delivery = one(subscription).await;
    subscription.dead_letter(&delivery, reason("no such thing")).await.unwrap();
    event
}

/// A dead letter is kept whole, with its reason, counts no longer, and the key goes on.
pub async fn a_dead_letter_has_its_reason_and_frees_its_key(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let dead = dead_letter(&bus, &subscription).await;
    publish(&bus, &[event("key", 2)]).await;
    assert_eq!(numbers(&finish(&subscription, 1).await), [2]);
    assert_eq!(bus.depth("group").await.unwrap(), 0);
    let dead_letters = broker.open(LONG).await.dead_letters(Some("group"), 10).await.unwrap();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(format!("{:?}", dead_letters[0].event), format!("{dead:?}"));
    assert_eq!(dead_letters[0].reason, reason("no such thing"));
    assert_eq!((dead_letters[0].group.as_str(), dead_letters[0].attempts, dead_letters[0].replays), ("group", 1, 0));
    assert!(bus.dead_letters(Some("other"), 10).await.unwrap().is_empty());
    assert_eq!(bus.dead_letters(None, 10).await.unwrap().len(), 1);
    testkit::eventually!(within DEADLINE, bus.count_dead_letters("group").await.unwrap() == 1);
    assert_eq!(bus.count_dead_letters("other").await.unwrap(), 0);
}

/// A replay is delivered once, to the group that gave the event up, with fresh attempts.
pub async fn a_replay_comes_once_and_to_its_group(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let (subscription, other) = (join(&bus, "group").await, join(&bus, "other").await);
    let dead = dead_letter(&bus, &subscription).await;
    finish(&other, 1).await;
    let tool = broker.open(LONG).await;
    assert_eq!(tool.resolve("other", &[dead.id], Resolution::Replay).await.unwrap(), 0);
    replay(&tool, dead.id).await;
    assert_eq!(tool.resolve("group", &[dead.id], Resolution::Replay).await.unwrap(), 0, "again");
    let again = one(&subscription).await;
    assert_eq!((again.event.id, again.attempt), (dead.id, 1));
    subscription.ack(&again).await.unwrap();
    silence(&subscription).await;
    silence(&other).await;
    assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
    assert_eq!(bus.count_dead_letters("group").await.unwrap(), 0);
}

/// A replay does not overtake its key, and does not break into what is in hand.
pub async fn a_replay_comes_after_what_waits(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let dead = dead_letter(&bus, &subscription).await;
    publish(&bus, &[event("key", 2), event("key", 3)]).await;
    let second = one(&subscription).await;
    replay(&bus, dead.id).await;
    silence(&subscription).await;
    subscription.ack(&second).await.unwrap();
    assert_eq!(number(&second.event), 2);
    assert_eq!(numbers(&finish(&subscription, 2).await), [3, 1]);
}

/// Of two that replay the same dead letter, one does.
pub async fn two_replays_at_once_are_one(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let subscription = join(&bus, "group").await;
    let dead = dead_letter(&bus, &subscription).await;
    let asked = [dead.id];
    let of = |bus: &Arc<dyn Bus>| {
        let bus = Arc::clone(bus);
        async move { bus.resolve("group", &asked, Resolution::Replay).await.unwrap() }
    };
    let (one, two) = tokio::join!(of(&bus), of(&other));
    assert_eq!(one + two, 1, "{one} {two}");
    finish(&subscription, 1).await;
    silence(&subscription).await;
}

/// A replayed event may be given up again, and tells how often that happened.
pub async fn a_replayed_event_may_be_dead_lettered_again(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let dead = dead_letter(&bus, &subscription).await;
    for replays in 1..3 {
        replay(&bus, dead.id).await;
        let again = one(&subscription).await;
        subscription.dead_letter(&again, reason("still")).await.unwrap();
        let dead_letters = bus.dead_letters(Some("group"), 10).await.unwrap();
        assert_eq!((dead_letters.len(), dead_letters[0].replays), (1, replays));
        testkit::eventually!(within DEADLINE, bus.count_dead_letters("group").await.unwrap() == 1);
    }
}

/// Many are replayed at once, each key's oldest first, and what nobody asked for stays.
pub async fn many_replays_at_once_keep_the_order_of_their_keys(broker: &dyn Broker) {
    const KEYS: u64 = 20;
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let events: Vec<Event> = (0..4 * KEYS).map(|n| event(format!("key-{}", n % KEYS), n)).collect();
    publish(&bus, &events).await;
    for _ in &events {
        let delivery = one(&subscription).await;
        subscription.dead_letter(&delivery, reason("not yet")).await.unwrap();
    }
    let listed = bus.dead_letters(Some("group"), events.len()).await.unwrap();
    let (stays, asked) = (listed[0].event.id, listed[1..].iter().map(|dead| dead.event.id).collect::<Vec<_>>());
    let unknown = event("key", 0).id;
    let with_unknown = [asked.clone(), vec![unknown]].concat();
    let replayed = bus.resolve("group", &with_unknown, Resolution::Replay).await.unwrap();
    assert_eq!(replayed, 4 * KEYS - 1);
    let again = finish(&subscription, asked.len()).await;
    for key in 0..KEYS {
        let numbers: Vec<u64> = numbers(&again).into_iter().filter(|n| n % KEYS == key).collect();
        assert!(numbers.is_sorted() && numbers.len() >= 3, "{numbers:?}");
    }
    let left = bus.dead_letters(None, 10).await.unwrap();
    assert_eq!(left.iter().map(|dead| dead.event.id).collect::<Vec<_>>(), [stays]);
}

/// What is discarded is no dead letter any more, and nobody is given it again.
pub async fn a_discarded_dead_letter_is_gone(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let (dead, other) = (dead_letter(&bus, &subscription).await, dead_letter(&bus, &subscription).await);
    let tool = broker.open(LONG).await;
    assert_eq!(tool.resolve("other", &[dead.id], Resolution::Discard).await.unwrap(), 0);
    assert_eq!(tool.resolve("group", &[dead.id], Resolution::Discard).await.unwrap(), 1);
    assert_eq!(tool.resolve("group", &[dead.id], Resolution::Discard).await.unwrap(), 0, "again");
    assert_eq!(tool.resolve("group", &[dead.id], Resolution::Replay).await.unwrap(), 0, "afterwards");
    let left = bus.dead_letters(None, 10).await.unwrap();
    assert_eq!(left.iter().map(|dead| dead.event.id).collect::<Vec<_>>(), [other.id]);
    testkit::eventually!(within DEADLINE, bus.count_dead_letters("group").await.unwrap() == 1);
    silence(&subscription).await;
}
