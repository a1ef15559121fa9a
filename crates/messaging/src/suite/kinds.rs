//! Kinds that only some members of a group handle.

use std::time::Duration;

use super::{Broker, Difference, KIND, LONG, SHORT, event, number, one, publish};
use super::{
    applying::settled,
    consumer::{Act, Script, dead_letters, policy, start},
};
use crate::{Cause, Event, Policy};

/// A kind that a newer release adds.
const NEW: &str = "thing.new.v1";

/// A kind that only a newer member knows waits for that member.
pub async fn an_unknown_kind_is_left_to_others(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let newer = bus.subscribe("group", &[KIND, NEW]).await.unwrap();
    let script = Script::new(|_, _| Act::Apply);
    let running = start(&bus, script.clone(), Policy { max_backoff: Duration::from_secs(1), ..policy() }).await;
    publish(&bus, &[Event { kind: NEW.to_owned(), ..event("key", 1) }]).await;
    let older = if broker.differs(Difference::BrokerAssigns) {
        running.stop().await;
        None
    } else {
        Some(running)
    };
    let delivery = one(&newer).await;
    newer.ack(&delivery).await.unwrap();
    if let Some(older) = older {
        older.stop().await;
    }
    assert!(script.numbers().is_empty() && dead_letters(&bus).await.is_empty());
}

/// After a rollback of the release that added a kind, its events are retried and then dead letters, never dropped: those
/// that wait, those in the hands of a member that dies, and those that come later.
pub async fn a_kind_that_is_rolled_back_ends_in_the_dead_letters(broker: &dyn Broker) {
    const EACH: u64 = 8;
    let bus = broker.open(SHORT).await;
    let newer = broker.open(SHORT).await.subscribe("group", &[KIND, NEW]).await.unwrap();
    let round = |first: u64| {
        let event_of =
            move |n: u64| Event { kind: if n.is_multiple_of(2) { NEW } else { KIND }.to_owned(), ..event(n, n) };
        (first..first + EACH).map(event_of).collect::<Vec<_>>()
    };
    publish(&bus, &round(0)).await;
    drop((one(&newer).await, newer));
    publish(&bus, &round(EACH)).await;
    let script = Script::new(|_, _| Act::Apply);
    let running = start(&bus, script.clone(), Policy { max_attempts: 4, ..policy() }).await;
    publish(&bus, &round(2 * EACH)).await;
    settled(&bus).await;
    running.stop().await;
    let dead_letters = dead_letters(&bus).await;
    assert!(dead_letters.iter().all(|dead_letter| dead_letter.reason.cause == Cause::Unhandled), "{dead_letters:?}");
    let mut all: Vec<u64> =
        dead_letters.iter().map(|dead_letter| number(&dead_letter.event)).chain(script.numbers()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..3 * EACH).collect::<Vec<_>>(), "handled or put aside, all of them");
    assert_eq!(dead_letters.len() as u64, 3 * EACH / 2);
}
