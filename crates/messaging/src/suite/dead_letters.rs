//! Dead letters and their replay.

use std::sync::Arc;

use super::{Broker, DEADLINE, LONG, event, finish, join, number, numbers, one, publish, silence};
use crate::{Bus, Cause, Error, Event, Reason, Subscription};

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
    assert!(matches!(tool.replay("other", dead.id).await, Err(Error::NoDeadLetter { .. })));
    tool.replay("group", dead.id).await.unwrap();
    assert!(matches!(tool.replay("group", dead.id).await, Err(Error::NoDeadLetter { .. })));
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
    bus.replay("group", dead.id).await.unwrap();
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
    let (one, two) = tokio::join!(bus.replay("group", dead.id), other.replay("group", dead.id));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    finish(&subscription, 1).await;
    silence(&subscription).await;
}

/// A replayed event may be given up again, and tells how often that happened.
pub async fn a_replayed_event_may_be_dead_lettered_again(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    let dead = dead_letter(&bus, &subscription).await;
    for replays in 1..3 {
        bus.replay("group", dead.id).await.unwrap();
        let again = one(&subscription).await;
        subscription.dead_letter(&again, reason("still")).await.unwrap();
        let dead_letters = bus.dead_letters(Some("group"), 10).await.unwrap();
        assert_eq!((dead_letters.len(), dead_letters[0].replays), (1, replays));
        testkit::eventually!(within DEADLINE, bus.count_dead_letters("group").await.unwrap() == 1);
    }
}
