//! Two versions side by side: who is given the events that are marked for the canary.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Broker, DEADLINE, Difference, LONG, QUIET, event, finish, join, number, numbers, one, publish, replay, silence,
    silence_for,
};
use crate::{Bus, Cause, Delivery, Event, Reason, Subscription, Track};

/// A lease that a case waits for, and that a busy machine does not lose by accident.
const LEASE: Duration = Duration::from_secs(2);
/// Enough keys to meet every part of an adapter that spreads them.
const KEYS: u64 = 64;

fn marked(key: impl ToString, number: u64) -> Event {
    let mut event = event(key, number);
    event.carrier.canary = true;
    event
}

/// Takes and acknowledges so many from whoever is given them; says who had which, in order.
async fn collect(members: &[(Track, &Arc<dyn Subscription>)], count: u64) -> Vec<(Track, u64)> {
    let (all, done) = (Mutex::new(Vec::new()), CancellationToken::new());
    // Each goes on until the end: what a dropped fetch had taken would come back only when its lease runs out.
    let take = async |track, member: &Arc<dyn Subscription>| {
        while let Some(fetched) = done.run_until_cancelled(member.fetch(32)).await {
            for delivery in fetched.unwrap() {
                all.lock().unwrap().push((track, number(&delivery.event)));
                member.ack(&delivery).await.unwrap();
            }
            if all.lock().unwrap().len() as u64 >= count {
                done.cancel();
            }
        }
    };
    let taking = join_all(members.iter().map(|(track, member)| take(*track, member)));
    let ended = timeout(DEADLINE, taking).await;
    let all = all.into_inner().unwrap();
    ended.unwrap_or_else(|_| panic!("{} of {count} in time", all.len()));
    all
}

/// A group with a member on each track, whose canary is known to the other.
struct Pair {
    bus: Arc<dyn Bus>,
    stable: Arc<dyn Subscription>,
    canary: Arc<dyn Subscription>,
}

impl Pair {
    async fn start(broker: &dyn Broker, canarys_lease: Duration) -> Self {
        let bus = broker.open(LONG).await;
        let stable = join(&bus, "group").await;
        let canary = join(&broker.open_on(canarys_lease, Track::Canary).await, "group").await;
        let pair = Self { bus, stable, canary };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let probes: Vec<Event> = (0..KEYS).map(|n| marked(format!("probe {n}"), n)).collect();
            publish(&pair.bus, &probes).await;
            if pair.collect(KEYS).await.iter().all(|(track, _)| *track == Track::Canary) {
                return pair;
            }
            assert!(Instant::now() < deadline, "marked events do not come to the canary");
        }
    }

    /// What the canary is given first. The other version fetches meanwhile, as it does where it runs, and gives back what it
    /// is given: of a canary that was too busy to renew its lease, where brokers assign, it has to let go first.
    async fn canarys(&self) -> Delivery {
        let done = CancellationToken::new();
        let canarys = async {
            let delivery = one(&self.canary).await;
            done.cancel();
            delivery
        };
        let others = async {
            while let Some(fetched) = done.run_until_cancelled(self.stable.fetch(1)).await {
                for delivery in fetched.unwrap() {
                    self.stable.release(&delivery).await.unwrap();
                }
            }
        };
        tokio::join!(canarys, others).0
    }

    async fn collect(&self, count: u64) -> Vec<(Track, u64)> {
        collect(&[(Track::Stable, &self.stable), (Track::Canary, &self.canary)], count).await
    }
}

/// While a canary lives, marked events are its alone, and it has no others.
pub async fn marked_events_are_the_canarys(broker: &dyn Broker) {
    let pair = Pair::start(broker, LONG).await;
    let events: Vec<Event> = (0..4 * KEYS).map(|n| if n % 2 == 0 { marked(n, n) } else { event(n, n) }).collect();
    publish(&pair.bus, &events).await;
    for (track, number) in pair.collect(4 * KEYS).await {
        assert_eq!(track, if number % 2 == 0 { Track::Canary } else { Track::Stable }, "{number}");
    }
}

/// Without a canary the mark changes nothing, not even the order of a key.
pub async fn without_a_canary_the_stable_version_has_all(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let stable = join(&bus, "group").await;
    let events: Vec<Event> = (0..20).map(|n| if n % 3 == 0 { marked("key", n) } else { event("key", n) }).collect();
    publish(&bus, &events).await;
    let done = numbers(&finish(&stable, 20).await);
    if broker.differs(Difference::MarksAreApart) {
        let of = |marked: bool| done.iter().copied().filter(move |n| (n % 3 == 0) == marked);
        assert!(of(true).is_sorted() && of(false).is_sorted(), "{done:?}");
        assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), 20);
    } else {
        assert_eq!(done, (0..20).collect::<Vec<_>>());
    }
}

/// Nor with several members: both kinds of a key's events are in the same hands.
pub async fn without_a_canary_members_share_keys_not_marks(broker: &dyn Broker) {
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(join(&broker.open(LONG).await, "group").await);
    }
    // Until everybody has found a share: from then on nothing moves.
    join_all(members.iter().map(|member| silence_for(QUIET * 15, member))).await;
    let events = (0..4 * KEYS).map(|n| if n % 2 == 0 { marked(n / 4, n) } else { event(n / 4, n) });
    publish(&broker.open(LONG).await, &events.collect::<Vec<_>>()).await;
    let members: Vec<_> = members.iter().map(|member| (Track::Stable, member)).collect();
    let mut last: HashMap<(u64, bool), u64> = HashMap::new();
    let apart = broker.differs(Difference::MarksAreApart);
    for (_, n) in collect(&members, 4 * KEYS).await {
        let before = last.insert((n / 4, apart && n % 2 == 0), n);
        assert!(before.is_none_or(|before| before < n), "{n} after {before:?}");
    }
}

/// A canary alone takes nothing that it is not meant for.
pub async fn unmarked_events_wait_for_the_stable_version(broker: &dyn Broker) {
    let bus = broker.open_on(LONG, Track::Canary).await;
    let canary = join(&bus, "group").await;
    publish(&bus, &[event("a", 1), marked("b", 2), event("c", 3)]).await;
    assert_eq!(numbers(&finish(&canary, 1).await), [2]);
    silence(&canary).await;
    let stable = join(&broker.open(LONG).await, "group").await;
    let mut others = numbers(&finish(&stable, 2).await);
    others.sort_unstable();
    assert_eq!(others, [1, 3]);
}

/// What a canary leaves behind goes to the stable version without waiting for a lease.
pub async fn a_canary_that_leaves_hands_over(broker: &dyn Broker) {
    let Pair { bus, stable, canary } = Pair::start(broker, LONG).await;
    publish(&bus, &[marked("key", 1), marked("key", 2), marked("other", 3)]).await;
    let held = one(&canary).await;
    canary.close().await;
    canary.ack(&held).await.unwrap();
    let rest = timeout(LONG / 2, collect(&[(Track::Stable, &stable)], 2)).await.expect("before any lease ends");
    assert!(rest.iter().all(|(_, n)| *n != number(&held.event)), "{rest:?}");
}

/// What it still works on it keeps, and nothing else.
pub async fn a_canary_that_drains_holds_nobody_up(broker: &dyn Broker) {
    let pair = Pair::start(broker, LEASE).await;
    publish(&pair.bus, &[marked("held", KEYS)]).await;
    let held = pair.canarys().await;
    let Pair { bus, stable, canary } = pair;
    canary.close().await;
    if broker.differs(Difference::BrokerAssigns) {
        canary.extend(&held).await.unwrap();
        canary.ack(&held).await.unwrap();
        publish(&bus, &(0..KEYS).map(|n| marked(n, n)).collect::<Vec<_>>()).await;
        let all = timeout(LONG / 2, collect(&[(Track::Stable, &stable)], KEYS)).await;
        return drop(all.expect("nobody is held up by one that is done"));
    }
    let drain = async {
        loop {
            canary.extend(&held).await.unwrap();
            sleep(LEASE / 4).await;
        }
    };
    let others = async {
        sleep(LEASE).await;
        publish(&bus, &(0..KEYS).map(|n| marked(n, n)).collect::<Vec<_>>()).await;
        // An adapter that spreads keys may keep those beside the held one.
        collect(&[(Track::Stable, &stable)], KEYS / 2).await
    };
    tokio::select! {
        () = drain => {}
        others = timeout(LONG / 2, others) => drop(others.expect("what comes meanwhile is not for it")),
    }
    canary.ack(&held).await.unwrap();
}

/// What a dead canary held comes back, counted, when its lease ends; then the stable version has the rest.
pub async fn a_dead_canary_is_replaced(broker: &dyn Broker) {
    let pair = Pair::start(broker, LEASE).await;
    publish(&pair.bus, &[marked("key", 1), marked("key", 2)]).await;
    assert_eq!(number(&pair.canarys().await.event), 1);
    let Pair { stable, canary, .. } = pair;
    drop(canary);
    let again = one(&stable).await;
    assert_eq!(number(&again.event), 1);
    // What a broker counts itself comes again once more where the newcomer is slow to renew what it holds back.
    let counted = again.attempt == 2 || (broker.differs(Difference::ReadAheadCounts) && again.attempt > 2);
    assert!(counted, "{}", again.attempt);
    stable.ack(&again).await.unwrap();
    assert_eq!(numbers(&finish(&stable, 1).await), [2]);
}

/// A replay goes where its event would.
pub async fn a_marked_dead_letter_is_replayed_to_the_canary(broker: &dyn Broker) {
    let pair = Pair::start(broker, LONG).await;
    publish(&pair.bus, &[marked("key", 7)]).await;
    let bad = one(&pair.canary).await;
    let reason = Reason { cause: Cause::Permanent, detail: "a fault of version 2".to_owned() };
    pair.canary.dead_letter(&bad, reason).await.unwrap();
    replay(&pair.bus, bad.event.id).await;
    assert_eq!(pair.collect(1).await, [(Track::Canary, 7)]);
}

/// Who has settled what.
#[derive(Default)]
struct Settled {
    turns: AtomicU64,
    /// By turn: when it was worked on, not when the broker's answer came.
    settled: Mutex<BTreeMap<u64, (Track, Event)>>,
}

impl Settled {
    fn count(&self) -> usize {
        self.settled.lock().unwrap().len()
    }

    /// Works until it is told to end; then leaves, or dies with what it holds.
    async fn work(&self, track: Track, member: Arc<dyn Subscription>, end: &CancellationToken, dies: bool) {
        loop {
            let fetched = tokio::select! {
                () = end.cancelled() => break,
                fetched = member.fetch(4) => fetched.unwrap(),
            };
            if dies && end.is_cancelled() {
                return;
            }
            for delivery in fetched {
                let turn = self.turns.fetch_add(1, Ordering::SeqCst);
                if member.ack(&delivery).await.is_ok() {
                    self.settled.lock().unwrap().insert(turn, (track, delivery.event));
                }
            }
        }
        if !dies {
            member.close().await;
        }
    }
}

/// Canaries come, leave and die; every event is settled once, marked or not, and those of a key and mark in order.
pub async fn canaries_come_and_go(broker: &dyn Broker) {
    const EVENTS: u64 = 400;
    let lease = LEASE / 2;
    let mut random = StdRng::seed_from_u64(7);
    let (settled, done) = (Settled::default(), CancellationToken::new());
    let bus = broker.open(lease).await;
    let (a, b) = (join(&bus, "group").await, join(&broker.open(lease).await, "group").await);
    let publisher = async {
        for n in 0..EVENTS {
            let key = n % 20;
            publish(&bus, &[if n % 3 == 0 { marked(key, n) } else { event(key, n) }]).await;
            sleep(Duration::from_millis(4)).await;
        }
    };
    let canaries = async {
        let deadline = Instant::now() + 2 * DEADLINE;
        while settled.count() < usize::try_from(EVENTS).unwrap() {
            assert!(Instant::now() < deadline, "{} of {EVENTS} settled", settled.count());
            let canary = join(&broker.open_on(lease, Track::Canary).await, "group").await;
            let (end, dies) = (CancellationToken::new(), random.random_bool(0.5));
            let life = Duration::from_millis(random.random_range(50..500));
            tokio::join!(settled.work(Track::Canary, canary, &end, dies), async {
                sleep(life).await;
                end.cancel();
            });
        }
        done.cancel();
    };
    let stable = |member| settled.work(Track::Stable, member, &done, false);
    tokio::join!(stable(a), stable(b), publisher, canaries);
    assert_settled_once(&settled.settled.lock().unwrap(), EVENTS);
}

fn assert_settled_once(settled: &BTreeMap<u64, (Track, Event)>, events: u64) {
    let mut times: HashMap<u64, u32> = HashMap::new();
    let mut last: HashMap<(&str, bool), u64> = HashMap::new();
    for (track, event) in settled.values() {
        let (n, canary) = (number(event), event.carrier.canary);
        *times.entry(n).or_default() += 1;
        assert!(canary || *track == Track::Stable, "{n} is not for the canary");
        let before = last.insert((&event.key, canary), n);
        assert!(before.is_none_or(|before| before < n), "{n} after {before:?}");
    }
    assert!((0..events).all(|n| times.get(&n) == Some(&1)), "{times:?}");
    assert!(settled.values().any(|(track, _)| *track == Track::Canary), "the canary had none");
}
