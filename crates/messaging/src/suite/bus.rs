//! Publishing, groups, fetching.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use futures::future::{join_all, select_all};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use telemetry::Carrier;
use tokio::time::timeout;

use super::{
    Broker, DEADLINE, KIND, LONG, SHORT, either, event, fetch, finish, ids, join, numbers, one, publish, silence,
};
use crate::Event;

/// Every field of the envelope comes out as it went in, trace and canary mark included.
pub async fn events_arrive_as_they_were_published(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let mut full = event("k\u{e9}y/1", 7).about("a subject");
    full.carrier = Carrier {
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        tracestate: Some("vendor=1".to_owned()),
        canary: true,
    };
    let plain = Event { carrier: Carrier::default(), ..event("key-2", 8) };
    publish(&bus, &[full.clone(), plain.clone()]).await;
    let other = broker.open(LONG).await;
    let mut read = finish(&join(&other, "group").await, 2).await;
    read.sort_by_key(|delivery| delivery.event.id);
    let read: Vec<String> = read.into_iter().map(|delivery| format!("{:?}", delivery.event)).collect();
    let mut sent = [full, plain];
    sent.sort_by_key(|event| event.id);
    assert_eq!(read, sent.map(|event| format!("{event:?}")));
}

/// A group that comes late gets what was published before.
pub async fn a_new_group_begins_with_the_oldest(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let events: Vec<Event> = (0..5).map(|n| event("key", n)).collect();
    publish(&bus, &events).await;
    finish(&join(&bus, "first").await, 5).await;
    let late = finish(&join(&broker.open(LONG).await, "late").await, 5).await;
    assert_eq!(numbers(&late), [0, 1, 2, 3, 4]);
}

/// Groups do not take anything from each other.
pub async fn each_group_gets_every_event(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let (a, b) = (join(&bus, "a").await, join(&bus, "b").await);
    publish(&bus, &[event("x", 1), event("y", 2)]).await;
    for subscription in [a, b] {
        let done = finish(&subscription, 2).await;
        assert_eq!(numbers(&done).into_iter().collect::<HashSet<_>>(), HashSet::from([1, 2]));
        silence(&subscription).await;
    }
}

/// A group hears nothing but what it asked for.
pub async fn a_group_gets_its_kinds_only(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = bus.subscribe("group", &[KIND, "thing.ended.v1"]).await.unwrap();
    let kinds = [KIND, "thing.unheard.v1", "thing.ended.v1", "thing.happened.v2"];
    let events: Vec<Event> =
        (0..).zip(kinds).map(|(n, kind)| Event { kind: kind.to_owned(), ..event("key", n) }).collect();
    publish(&bus, &events).await;
    assert_eq!(numbers(&finish(&subscription, 2).await), [0, 2]);
    silence(&subscription).await;
    assert_eq!(bus.depth("group").await.unwrap(), 0);
}

/// A kind that a newer version of a service adds begins with what is published from then on; nothing else comes again.
pub async fn a_kind_may_be_added_later(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let added = |n| Event { kind: "thing.ended.v1".to_owned(), ..event("key", n) };
    publish(&bus, &[event("key", 1), added(2)]).await;
    let old = join(&bus, "group").await;
    assert_eq!(numbers(&finish(&old, 1).await), [1]);
    old.close().await;
    let new = bus.subscribe("group", &[KIND, "thing.ended.v1"]).await.unwrap();
    publish(&bus, &[added(3), event("key", 4)]).await;
    let mut done = numbers(&finish(&new, 2).await);
    // What is older may come or not: a broker that has not passed it yet delivers it.
    if done[0] == 2 {
        done.remove(0);
        done.extend(numbers(&finish(&new, 1).await));
    }
    assert_eq!(done, [3, 4]);
    silence(&new).await;
}

/// Each event goes to one member, whichever process it is in.
pub async fn members_share_the_work(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let (a, b) = (join(&bus, "group").await, join(&other, "group").await);
    let events: Vec<Event> = (0..40).map(|n| event(n, n)).collect();
    publish(&bus, &events).await;
    // Which member gets what is the bus' choice.
    let mut taken = Vec::new();
    while taken.len() < 40 {
        taken.extend(either(&a, &b, 5).await);
    }
    assert_eq!(ids(&taken).into_iter().collect::<HashSet<_>>().len(), 40);
    silence(&a).await;
    silence(&b).await;
}

/// An id that is known is not stored twice: in one call, in two, from another process, after it was handled.
pub async fn publishing_again_adds_nothing(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let subscription = join(&bus, "group").await;
    let first = event("key", 1);
    publish(&bus, &[first.clone(), first.clone()]).await;
    publish(&bus, std::slice::from_ref(&first)).await;
    publish(&other, &[first.clone(), event("key", 2)]).await;
    assert_eq!(numbers(&finish(&subscription, 2).await), [1, 2]);
    publish(&other, &[first]).await;
    silence(&subscription).await;
}

/// Publishers in several processes do not get in each other's way.
pub async fn publishers_at_once_lose_nothing(broker: &dyn Broker) {
    let reader = broker.open(LONG).await;
    let publishers = join_all((0..4).map(|_| broker.open(LONG))).await;
    let work = publishers.iter().zip(0_u64..).map(|(bus, publisher)| async move {
        for n in 0..25 {
            publish(bus, &[event(publisher, n)]).await;
        }
    });
    let subscription = join(&reader, "group").await;
    let (done, _) = tokio::join!(finish(&subscription, 100), join_all(work));
    for publisher in 0..4 {
        let key = publisher.to_string();
        let of_key: Vec<_> = done.iter().filter(|delivery| delivery.event.key == key).cloned().collect();
        assert_eq!(numbers(&of_key), (0..25).collect::<Vec<_>>());
    }
    silence(&subscription).await;
}

/// `max` is a bound, and the rest stays for others.
pub async fn fetch_takes_no_more_than_asked(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let events: Vec<Event> = (0..10).map(|n| event(n, n)).collect();
    publish(&bus, &events).await;
    let subscription = join(&bus, "group").await;
    let mut seen = 0;
    while seen < 10 {
        seen += fetch(&subscription, 3).await.len();
    }
    assert_eq!(seen, 10);
}

/// A member that waits hears of an event of another process well within 50 ms.
pub async fn a_waiting_member_wakes_at_once(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let subscription = join(&other, "group").await;
    let mut rounds = Vec::new();
    // A busy machine may make a round late; who is not woken is late by most of a second in all of them.
    for round in 0..10 {
        let mut delays = Vec::new();
        for n in 0..15 {
            let (delivered, published) = tokio::join!(async { (one(&subscription).await, Instant::now()) }, async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                publish(&bus, &[event(n, round * 15 + n)]).await;
                Instant::now()
            });
            subscription.ack(&delivered.0).await.unwrap();
            delays.push(delivered.1.saturating_duration_since(published));
        }
        delays.sort_unstable();
        if delays[7] < Duration::from_millis(40) {
            return;
        }
        rounds.push(delays);
    }
    panic!("{rounds:?}");
}

/// Whatever a dropped `fetch` had taken comes back, in order.
pub async fn a_dropped_fetch_loses_nothing(broker: &dyn Broker) {
    let bus = broker.open(SHORT).await;
    let subscription = join(&bus, "group").await;
    let publisher = async {
        for n in 0..20 {
            publish(&bus, &[event("key", n)]).await;
        }
    };
    let dropper = async {
        for n in 0..60 {
            drop(timeout(Duration::from_micros(n * 50), subscription.fetch(1)).await);
        }
    };
    tokio::join!(publisher, dropper);
    assert_eq!(numbers(&finish(&subscription, 20).await), (0..20).collect::<Vec<_>>());
}

/// Closing ends a `fetch` that waits, and what is in hand can still be settled.
pub async fn close_ends_a_waiting_fetch(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    publish(&bus, &[event("key", 1)]).await;
    let delivery = one(&subscription).await;
    let (fetched, ()) = tokio::join!(subscription.fetch(1), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        subscription.close().await;
    });
    assert!(fetched.unwrap().is_empty());
    assert!(subscription.fetch(1).await.unwrap().is_empty());
    subscription.ack(&delivery).await.unwrap();
    assert_eq!(bus.depth("group").await.unwrap(), 0);
}

/// Where all members close, each of them twice at once, what they had in hand can be settled and the rest comes to the next.
pub async fn members_that_close_at_once_give_everything_back(broker: &dyn Broker) {
    const EVENTS: u64 = 24;
    let bus = broker.open(LONG).await;
    let members = join_all((0..3).map(|_| async { join(&broker.open(LONG).await, "group").await })).await;
    publish(&bus, &(0..EVENTS).map(|n| event(n, n)).collect::<Vec<_>>()).await;
    // All of them wait for work, and one has some first.
    let waiting = members.iter().map(|member| Box::pin(fetch(member, 2)));
    let (held, busy, others) = select_all(waiting).await;
    drop(others);
    join_all(members.iter().map(|member| async { tokio::join!(member.close(), member.close()) })).await;
    for delivery in &held {
        members[busy].ack(delivery).await.unwrap();
    }
    drop(members);
    let next = join(&broker.open(LONG).await, "group").await;
    let rest = finish(&next, usize::try_from(EVENTS).unwrap() - held.len()).await;
    let done: BTreeSet<u64> = numbers(&held).into_iter().chain(numbers(&rest)).collect();
    assert_eq!(done, (0..EVENTS).collect());
    silence(&next).await;
}

/// What was published stays, whoever published it closes its connections at once.
pub async fn what_was_published_outlives_its_publisher(broker: &dyn Broker) {
    for n in 0..5 {
        let publisher = broker.open(LONG).await;
        publish(&publisher, &[event("key", n)]).await;
        publisher.close().await;
    }
    let subscription = join(&broker.open(LONG).await, "group").await;
    assert_eq!(numbers(&finish(&subscription, 5).await), (0..5).collect::<Vec<_>>());
}

/// Acknowledged is acknowledged, also for the next process.
pub async fn what_is_done_stays_done(broker: &dyn Broker) {
    let bus = broker.open(SHORT).await;
    publish(&bus, &[event("a", 1), event("b", 2)]).await;
    finish(&join(&bus, "group").await, 2).await;
    tokio::time::sleep(SHORT * 2).await;
    silence(&join(&broker.open(SHORT).await, "group").await).await;
}

/// Depth counts what waits and what is in hand.
pub async fn depth_counts_what_is_not_done(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let subscription = join(&bus, "group").await;
    testkit::eventually!(within DEADLINE, bus.depth("group").await.unwrap() == 0);
    assert_eq!(bus.depth("nobody").await.unwrap(), 0);
    publish(&bus, &[event("a", 1), event("a", 2), event("b", 3)]).await;
    testkit::eventually!(within DEADLINE, bus.depth("group").await.unwrap() == 3);
    let delivery = one(&subscription).await;
    testkit::eventually!(within DEADLINE, bus.depth("group").await.unwrap() == 3);
    subscription.ack(&delivery).await.unwrap();
    testkit::eventually!(within DEADLINE, bus.depth("group").await.unwrap() == 2);
}

/// Much that waits, half of it behind a key that is stuck, is worked off in order.
pub async fn a_long_backlog_is_worked_off(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let events: Vec<Event> = (0..1200).map(|n| if n < 600 { event("stuck", n) } else { event(n % 7, n) }).collect();
    let (behind, others) = events.split_at(600);
    for chunk in behind.chunks(100) {
        publish(&bus, chunk).await;
    }
    let subscription = join(&bus, "group").await;
    let stuck = one(&subscription).await;
    assert_eq!(stuck.event.id, events[0].id);
    for chunk in others.chunks(100) {
        publish(&bus, chunk).await;
    }
    let mut done = Vec::new();
    while done.len() < 600 {
        // A busy machine may take longer than a lease.
        subscription.extend(&stuck).await.unwrap();
        done.extend(finish(&subscription, 50.min(600 - done.len())).await);
    }
    for key in 0..7_u64 {
        let of_key: Vec<_> = done.iter().filter(|d| d.event.key == key.to_string()).cloned().collect();
        assert!(numbers(&of_key).is_sorted(), "key {key}: {:?}", numbers(&of_key));
    }
    silence(&subscription).await;
    subscription.ack(&stuck).await.unwrap();
    assert_eq!(numbers(&finish(&subscription, 599).await), (1..600).collect::<Vec<_>>());
}

/// As large as an event may be everywhere, of bytes that do not compress.
pub async fn a_large_event_arrives_whole(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let mut random = StdRng::seed_from_u64(1);
    let data: Vec<u8> = (0..700 * 1024).map(|_| random.random()).collect();
    let large = Event { data: data.clone().into(), ..event("key", 1) };
    publish(&bus, &[large, event("key", 2)]).await;
    let subscription = join(&broker.open(LONG).await, "group").await;
    let done = finish(&subscription, 2).await;
    assert!(done[0].event.data == data, "{} bytes came", done[0].event.data.len());
    assert_eq!(numbers(&done[1..]), [2]);
}

/// Groups that overlap in their kinds, all at work: each is given its kinds, once and in order.
pub async fn many_groups_and_kinds_at_once(broker: &dyn Broker) {
    const KINDS: [&str; 3] = ["thing.begun.v1", KIND, "thing.ended.v1"];
    const EACH: u64 = 20;
    let of = |kind: &str, n| Event { kind: kind.to_owned(), ..event("key", n) };
    let groups = [&KINDS[..2], &KINDS[1..], &KINDS[..], &KINDS[2..]];
    let work = groups.iter().enumerate().map(|(group, kinds)| async move {
        let subscription = broker.open(LONG).await.subscribe(&format!("group-{group}"), kinds).await.unwrap();
        let done = finish(&subscription, kinds.len() * usize::try_from(EACH).unwrap()).await;
        for kind in *kinds {
            let of_kind: Vec<_> = done.iter().filter(|delivery| delivery.event.kind == *kind).cloned().collect();
            assert_eq!(numbers(&of_kind), (0..EACH).collect::<Vec<_>>(), "{kind} of group {group}");
        }
        silence(&subscription).await;
    });
    let publishers = KINDS.iter().map(|kind| async move {
        let bus = broker.open(LONG).await;
        for n in 0..EACH {
            publish(&bus, &[of(kind, n)]).await;
        }
    });
    tokio::join!(join_all(work), join_all(publishers));
}
