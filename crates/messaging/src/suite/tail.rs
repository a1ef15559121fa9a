//! Reading the log past all groups.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telemetry::Carrier;
use tokio::time::timeout;

use super::{
    Broker, DEADLINE, Difference, KIND, LONG, QUIET, event, finish, join, number, one, publish, replay, silence,
};
use crate::{Bus, Cause, Cursor, Event, Position, Reason, Tail, Tailed};

async fn tail(bus: &Arc<dyn Bus>, back: u64) -> Box<dyn Tail> {
    bus.tail(&[KIND], back).await.unwrap()
}

/// Reads so many events with their positions.
async fn read(tail: &mut Box<dyn Tail>, count: usize) -> Vec<(Position, Event)> {
    let mut events = Vec::new();
    while events.len() < count {
        match timeout(DEADLINE, tail.next()).await.expect("an event in time").unwrap() {
            Tailed::Event(position, event) => events.push((position, *event)),
            Tailed::Gap => panic!("nothing is missing"),
        }
    }
    events
}

async fn read_numbers(tail: &mut Box<dyn Tail>, count: usize) -> Vec<u64> {
    read(tail, count).await.iter().map(|(_, event)| number(event)).collect()
}

async fn quiet(tail: &mut Box<dyn Tail>) {
    if let Ok(read) = timeout(QUIET, tail.next()).await {
        panic!("nothing was to come, but {read:?}");
    }
}

/// Whichever process it was published from, whole, once, and in the order of its key.
pub async fn every_process_gets_every_event(broker: &dyn Broker) {
    let (a, b) = (broker.open(LONG).await, broker.open(LONG).await);
    let (mut of_a, mut of_b) = (tail(&a, 0).await, tail(&b, 0).await);
    let carrier = Carrier {
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        tracestate: None,
        canary: true,
    };
    let marked = Event { carrier, ..event("key", 1).about("a subject") };
    publish(&a, std::slice::from_ref(&marked)).await;
    publish(&b, &[event("key", 2), event("other", 3)]).await;
    publish(&a, &[event("key", 4), marked.clone()]).await;
    for tail in [&mut of_a, &mut of_b] {
        let events = read(tail, 4).await;
        let first = events.iter().find(|(_, event)| event.id == marked.id).unwrap();
        assert_eq!(format!("{:?}", first.1), format!("{marked:?}"));
        // Where marked events are apart, their order beside the others is nobody's.
        let apart = broker.differs(Difference::MarksAreApart);
        let of_key = events.iter().filter(|(_, event)| event.key == "key" && !(apart && event.carrier.canary));
        let expected: &[u64] = if apart { &[2, 4] } else { &[1, 2, 4] };
        assert_eq!(of_key.map(|(_, event)| number(event)).collect::<Vec<_>>(), expected);
        quiet(tail).await;
    }
}

/// So many events before the end, or where the log begins.
pub async fn a_tail_begins_where_it_is_asked_to(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let mut empty = tail(&bus, 3).await;
    quiet(&mut empty).await;
    for n in 0..5 {
        publish(&bus, &[event("key", n)]).await;
    }
    assert_eq!(read_numbers(&mut empty, 5).await, [0, 1, 2, 3, 4]);
    let (mut new, mut some, mut all) = (tail(&bus, 0).await, tail(&bus, 3).await, tail(&bus, 10).await);
    publish(&bus, &[event("key", 5)]).await;
    assert_eq!(read_numbers(&mut new, 1).await, [5]);
    assert_eq!(read_numbers(&mut some, 4).await, [2, 3, 4, 5]);
    assert_eq!(read_numbers(&mut all, 6).await, [0, 1, 2, 3, 4, 5]);
}

/// It hears nothing but what it asked for.
pub async fn a_tail_gets_its_kinds_only(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let kinds = [KIND, "thing.unheard.v1", "thing.ended.v1", "thing.happened.v2"];
    let mut tail = bus.tail(&[KIND, "thing.ended.v1"], 0).await.unwrap();
    let events: Vec<Event> =
        (0..).zip(kinds).map(|(n, kind)| Event { kind: kind.to_owned(), ..event("key", n) }).collect();
    publish(&bus, &events).await;
    assert_eq!(read_numbers(&mut tail, 2).await, [0, 2]);
    quiet(&mut tail).await;
}

/// Groups and tails do not see each other.
pub async fn a_tail_takes_nothing_from_a_group(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let group = join(&bus, "group").await;
    let mut tail = tail(&bus, 0).await;
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    assert_eq!(read_numbers(&mut tail, 2).await, [1, 2]);
    assert_eq!(finish(&group, 2).await.len(), 2);
    silence(&group).await;
    quiet(&mut tail).await;
}

/// What comes again for one group does not come again for everybody.
pub async fn a_replay_is_for_its_group(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let group = join(&bus, "group").await;
    let mut tail = tail(&bus, 0).await;
    publish(&bus, &[event("key", 1)]).await;
    let delivery = one(&group).await;
    let reason = Reason { cause: Cause::Permanent, detail: "no such thing".to_owned() };
    group.dead_letter(&delivery, reason).await.unwrap();
    replay(&bus, delivery.event.id).await;
    assert_eq!(finish(&group, 1).await.len(), 1);
    assert_eq!(read_numbers(&mut tail, 1).await, [1]);
    quiet(&mut tail).await;
}

/// What one process has read, another one knows by the same cursor.
pub async fn cursors_mean_the_same_everywhere(broker: &dyn Broker) {
    let (a, b) = (broker.open(LONG).await, broker.open(LONG).await);
    let mut of_a = tail(&a, 0).await;
    let begin = of_a.cursor().clone();
    let events: Vec<Event> = (0..6).map(|n| event(n % 2, n)).collect();
    for event in &events {
        publish(&a, std::slice::from_ref(event)).await;
    }
    let first: Vec<_> = read(&mut of_a, 4).await.into_iter().map(|(_, event)| event.id).collect();
    let cursor: Cursor = of_a.cursor().to_string().parse().unwrap();
    assert!(cursor.includes(&begin) && !begin.includes(&cursor));
    let mut of_b = tail(&b, 100).await;
    assert!(begin.includes(of_b.cursor()));
    for (position, event) in read(&mut of_b, 6).await {
        assert!(!begin.covers(position));
        assert_eq!(cursor.covers(position), first.contains(&event.id));
    }
    assert!(of_b.cursor().includes(&cursor));
    read(&mut of_a, 2).await;
    assert_eq!(of_a.cursor(), of_b.cursor());
}

/// Whatever a dropped `next` had read comes again.
pub async fn a_dropped_next_loses_nothing(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let mut tail = tail(&bus, 0).await;
    let publisher = async {
        for n in 0..30 {
            publish(&bus, &[event("key", n)]).await;
        }
    };
    let reader = async {
        let (mut read, mut patience) = (Vec::new(), 0);
        while read.len() < 30 {
            patience = (patience + 37) % 3_000;
            match timeout(Duration::from_micros(patience), tail.next()).await {
                Ok(Ok(Tailed::Event(_, event))) => read.push(number(&event)),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
        read
    };
    let ((), read) = tokio::join!(publisher, async { timeout(DEADLINE, reader).await.expect("all of them") });
    assert_eq!(read, (0..30).collect::<Vec<_>>());
}

/// A tail that waits hears of an event of another process well within 50 ms.
pub async fn a_tail_is_woken_at_once(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let mut tail = tail(&other, 0).await;
    let mut rounds = Vec::new();
    // A busy machine may make a round late; who is not woken is late by most of a second in all of them.
    for round in 0..10 {
        let mut delays = Vec::new();
        for n in 0..9 {
            let (read, published) = tokio::join!(async { (read(&mut tail, 1).await, Instant::now()) }, async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                publish(&bus, &[event(n, round * 9 + n)]).await;
                Instant::now()
            });
            delays.push(read.1.saturating_duration_since(published));
        }
        delays.sort_unstable();
        if delays[4] < Duration::from_millis(40) {
            return;
        }
        rounds.push(delays);
    }
    panic!("{rounds:?}");
}
