//! Lanes without a log: what is handed out when.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Lanes, Record};
use crate::{Delivery, Event, Suspicion, Tag};

const LEASE: Duration = Duration::from_secs(5);

fn record(partition: u16, position: u64, key: &str, deliveries: u32) -> Record<u64> {
    let event = Event::new("thing.happened.v1", "test", key, clock::system().now(), position).unwrap();
    Record { partition, position, deliveries, replays: 0, event, handle: position }
}

/// Lanes with first deliveries of (partition, key) at the positions 1, 2, ….
fn lanes(records: &[(u16, &str)], now: Instant) -> Lanes<u64> {
    let mut lanes = Lanes::new(LEASE);
    for (position, (partition, key)) in (1..).zip(records) {
        lanes.push(record(*partition, position, key, 1), now);
    }
    lanes
}

fn positions(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|delivery| delivery.tag.position).collect()
}

fn take(lanes: &mut Lanes<u64>, now: Instant) -> Vec<Tag> {
    lanes.take(9, now).iter().map(|delivery| delivery.tag).collect()
}

/// Settles as the adapter does where the log confirms.
fn ack(lanes: &mut Lanes<u64>, tag: Tag) {
    lanes.settle(tag);
    lanes.remove(tag);
}

#[test]
fn only_the_first_of_a_key_is_handed_out_and_partitions_take_turns() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "a"), (1, "b"), (2, "c")], now);
    let taken = lanes.take(2, now);
    assert_eq!(positions(&taken), [1, 4], "one of each partition");
    assert_eq!(positions(&lanes.take(9, now)), [3]);
    ack(&mut lanes, taken[0].tag);
    assert_eq!(positions(&lanes.take(9, now)), [2]);
    assert_eq!((lanes.len(), lanes.of_partition(1)), (3, 2));
}

#[test]
fn what_is_tried_again_holds_up_its_key_until_it_comes() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "a"), (1, "b")], now);
    let first = take(&mut lanes, now)[0];
    lanes.settle(first);
    lanes.wait(first);
    assert!(lanes.held(first, now).is_none());
    assert!(lanes.take(9, now).is_empty(), "b is in hand, a waits");
    assert_eq!(lanes.awaited(1), 1);
    lanes.push(record(1, 1, "a", 2), now);
    let again = lanes.take(9, now);
    assert_eq!((positions(&again), again[0].attempt), (vec![1], 2));
}

#[test]
fn a_record_that_comes_again_before_its_settlement_is_confirmed_is_not_lost() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a")], now);
    let first = take(&mut lanes, now)[0];
    lanes.settle(first);
    lanes.push(record(1, 1, "a", 2), now);
    lanes.wait(first);
    assert_eq!(positions(&lanes.take(9, now)), [1]);
}

#[test]
fn a_lease_counts_from_when_the_log_gave_or_renewed() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "b")], now);
    let late = now + LEASE - Duration::from_millis(1);
    let early = lanes.take(1, now + LEASE / 5)[0].tag;
    assert!(lanes.held(early, late).is_some() && lanes.held(early, now + LEASE).is_none());
    assert!(lanes.renewals().is_empty());
    let waited = lanes.take(1, late)[0].tag;
    assert!(lanes.held(waited, late + LEASE / 2).is_some(), "it is renewed when it is handed out");
    assert_eq!(lanes.renewals().len(), 1);
    lanes.extend(waited, late + LEASE / 2);
    assert!(lanes.held(waited, late + LEASE).is_some());
}

#[test]
fn nothing_but_the_log_makes_a_lease_longer() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "b"), (1, "c")], now);
    let tags = take(&mut lanes, now);
    let (late, over) = (now + LEASE - Duration::from_millis(1), now + LEASE);
    assert_eq!(lanes.settle(tags[0]), Some(over));
    lanes.unsettle(tags[0]);
    assert!(lanes.held(tags[0], late).is_some() && lanes.held(tags[0], over).is_none());
    lanes.release(tags[1]);
    lanes.isolate(tags[2]);
    lanes.try_alone(1, 3);
    assert!(lanes.take(9, over).is_empty(), "somebody else may have been given them");
}

#[test]
fn a_settlement_that_nobody_waited_for_comes_again() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "a")], now);
    let first = take(&mut lanes, now)[0];
    lanes.settle(first);
    lanes.push(record(1, 1, "a", 2), now + LEASE);
    assert_eq!(positions(&lanes.take(9, now + LEASE)), [1]);
    lanes.remove(first);
    assert_eq!(lanes.len(), 2, "the old delivery is nobody's");
}

#[test]
fn what_the_log_does_not_give_again_is_found_out_by_comparing() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "a"), (2, "b")], now);
    let mut tags = take(&mut lanes, now);
    tags.sort_by_key(|tag| tag.position);
    lanes.settle(tags[0]);
    lanes.unsettle(tags[0]);
    lanes.settle(tags[1]);
    lanes.wait(tags[1]);
    let (later, over) = (now + LEASE / 2, now + LEASE);
    lanes.renew(now, later);
    assert!(lanes.overdue(later).is_empty());
    assert_eq!(lanes.overdue(over).into_iter().collect::<Vec<_>>(), [1], "not what the log is to give again");
    lanes.hold_back(1, over);
    lanes.let_through(1, None, over);
    assert_eq!(positions(&lanes.take(9, over)), [2]);
}

#[test]
fn what_was_not_renewed_in_time_is_not_handed_out() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "b")], now);
    let mut renewed = lanes.renew(now, now + LEASE / 2);
    renewed.sort_unstable();
    assert_eq!(renewed, [1, 2]);
    assert!(lanes.renew(now, now + LEASE / 2).is_empty());
    assert!(lanes.take(1, now + LEASE * 2).is_empty());
    assert!(lanes.renew(now + LEASE, now + LEASE * 2).is_empty(), "somebody else may have it");
}

#[test]
fn a_partition_that_is_revoked_leaves_what_is_in_hand_and_the_other_partitions() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "key"), (17, "key"), (1, "key"), (17, "key")], now);
    let held = take(&mut lanes, now)[0];
    assert_eq!(lanes.revoke(17, now).iter().map(|record| record.handle).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(lanes.revoke(1, now).iter().map(|record| record.handle).collect::<Vec<_>>(), [3]);
    assert_eq!(lanes.len(), 1, "what is in hand stays");
    ack(&mut lanes, held);
    assert!(lanes.is_empty());
}

#[test]
fn nothing_of_a_partition_overtakes_what_its_last_reader_had() {
    let now = Instant::now();
    let mut lanes = Lanes::new(LEASE);
    lanes.hold_back(1, now);
    lanes.push(record(1, 7, "a", 1), now);
    lanes.push(record(2, 8, "b", 1), now);
    assert_eq!(positions(&lanes.take(9, now)), [8], "another partition goes on");
    lanes.push(record(1, 5, "a", 2), now);
    lanes.push(record(1, 6, "c", 2), now);
    assert_eq!(lanes.unsettled(1).into_iter().collect::<Vec<_>>(), [5, 6, 7]);
    lanes.let_through(1, None, now);
    let first = lanes.take(9, now);
    assert_eq!(positions(&first), [5, 6]);
    ack(&mut lanes, first[0].tag);
    assert_eq!(positions(&lanes.take(9, now)), [7]);
}

#[test]
fn what_may_be_settled_does_not_stand_for_what_another_reader_has() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "b")], now);
    let first = take(&mut lanes, now)[0];
    lanes.settle(first);
    // The log took it, and its answer was lost.
    lanes.unsettle(first);
    assert_eq!(lanes.unsettled(1).len(), 1, "not the one that may be settled");
    lanes.push(record(1, u64::try_from(first.position).unwrap(), "a", 2), now);
    assert_eq!(lanes.unsettled(1).len(), 2, "it was not");
}

#[test]
fn what_stands_behind_a_record_that_may_be_elsewhere_waits_too() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (1, "a")], now);
    let first = take(&mut lanes, now)[0];
    lanes.settle(first);
    lanes.wait(first);
    lanes.hold_back(1, now);
    assert!(lanes.take(9, now).is_empty());
    assert_eq!(lanes.unsettled(1).into_iter().collect::<Vec<_>>(), [2], "the first is the log's to give");
    lanes.push(record(1, 1, "a", 2), now);
    lanes.let_through(1, None, now);
    assert_eq!(positions(&lanes.take(9, now)), [1]);
}

#[test]
fn what_is_set_aside_is_tried_alone_and_only_what_was_tried_is_the_culprit() {
    let now = Instant::now();
    let mut lanes = lanes(&[(1, "a"), (2, "b"), (1, "c"), (1, "a")], now);
    for tag in take(&mut lanes, now) {
        lanes.isolate(tag);
    }
    assert!(lanes.take(9, now).is_empty());
    let mut tried = Vec::new();
    while let Some((partition, position)) = lanes.next_alone(now) {
        lanes.try_alone(partition, position);
        let [delivery] = &lanes.take(9, now)[..] else { panic!("one at a time") };
        assert_eq!((delivery.suspicion, lanes.next_alone(now)), (Suspicion::Alone, None));
        tried.push(delivery.tag.position);
        ack(&mut lanes, delivery.tag);
        for tag in take(&mut lanes, now) {
            assert_eq!(tag.position, 4, "behind the first of its key, from now on as always");
            ack(&mut lanes, tag);
        }
    }
    assert_eq!(tried, [1, 2, 3]);

    let mut lanes = Lanes::new(LEASE);
    lanes.hold_back(1, now);
    (10..12).for_each(|position| lanes.push(record(1, position, &position.to_string(), 9), now));
    lanes.let_through(1, Some(11), now);
    let suspicions: Vec<Suspicion> = lanes.take(9, now).iter().map(|delivery| delivery.suspicion).collect();
    assert_eq!(suspicions, [Suspicion::None, Suspicion::Culprit]);
}

/// What happens to a member.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u8),
    Take,
    Ack(usize),
    Fail(usize),
    Release(usize),
    Redeliver,
    HandOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..4).prop_map(Step::Read),
        3 => Just(Step::Take),
        4 => (0_usize..8).prop_map(Step::Ack),
        2 => (0_usize..8).prop_map(Step::Fail),
        1 => (0_usize..8).prop_map(Step::Release),
        2 => Just(Step::Redeliver),
        1 => Just(Step::HandOver),
    ]
}

proptest! {
    /// Whatever happens, the records of a key are done in the order of their positions, and none is forgotten.
    #[test]
    fn keys_stay_in_order(steps in proptest::collection::vec(step(), 1..200)) {
        let now = Instant::now();
        let mut lanes = Lanes::new(LEASE);
        let (mut next, mut hand, mut failed) = (0_u64, Vec::<Tag>::new(), Vec::<u64>::new());
        let mut done = HashMap::<u64, Vec<u64>>::new();
        let key = |position: u64| position % 4;
        let again = |position: u64| record(1, position, &key(position).to_string(), 2);
        for step in steps {
            match step {
                Step::Read(of) => {
                    next += 1;
                    next += (4 + u64::from(of) - key(next)) % 4;
                    lanes.push(record(1, next, &key(next).to_string(), 1), now);
                }
                Step::Take => hand.extend(lanes.take(3, now).iter().map(|delivery| delivery.tag)),
                Step::Ack(n) if n < hand.len() => {
                    let tag = hand.swap_remove(n);
                    let position = tag.position.cast_unsigned();
                    done.entry(key(position)).or_default().push(position);
                    ack(&mut lanes, tag);
                }
                Step::Fail(n) if n < hand.len() => {
                    let tag = hand.swap_remove(n);
                    lanes.settle(tag);
                    lanes.wait(tag);
                    failed.push(tag.position.cast_unsigned());
                }
                Step::Release(n) if n < hand.len() => lanes.release(hand.swap_remove(n)),
                Step::Redeliver => failed.drain(..).for_each(|position| lanes.push(again(position), now)),
                Step::HandOver => {
                    lanes.hold_back(1, now);
                    failed.drain(..).for_each(|position| lanes.push(again(position), now));
                    lanes.let_through(1, None, now);
                }
                _ => {}
            }
        }
        failed.drain(..).for_each(|position| lanes.push(again(position), now));
        while !lanes.is_empty() {
            hand.extend(lanes.take(9, now).iter().map(|delivery| delivery.tag));
            prop_assert!(!hand.is_empty(), "something is stuck: {lanes:?}");
            for tag in hand.drain(..) {
                let position = tag.position.cast_unsigned();
                done.entry(key(position)).or_default().push(position);
                ack(&mut lanes, tag);
            }
        }
        for positions in done.values() {
            prop_assert!(positions.is_sorted() && positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
        }
    }
}
