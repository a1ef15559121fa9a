//! The consumer runtime over a bus.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use telemetry::Carrier;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Broker, DEADLINE, Difference, KINDS, LONG, applying::settled, event, finish, join, number, numbers, publish,
    replay, silence,
};
use crate::{Bus, Cause, Consumer, DeadLetter, Event, Handler, HandlerError, Policy, Receipt};

/// A handler that keeps what it has applied and does as the script says.
pub(super) struct Script<F> {
    applied: Mutex<Vec<(String, u64)>>,
    tries: Mutex<HashMap<u64, u32>>,
    act: F,
}

/// What a script does with the n-th try of an event.
pub(super) enum Act {
    Apply,
    Fail,
    Refuse,
    Away,
    Panic,
    Sleep(Duration),
}

#[async_trait]
impl<F: Fn(&Event, u32) -> Act + Send + Sync> Handler for Script<F> {
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError> {
        assert_eq!(receipt.event_id, event.id);
        let number = number(event);
        let tried = {
            let mut all = self.tries.lock().unwrap();
            let count = all.entry(number).or_default();
            *count += 1;
            *count
        };
        match (self.act)(event, tried) {
            Act::Apply => {}
            Act::Fail => return Err(HandlerError::transient(anyhow::anyhow!("not now").context("applying"))),
            Act::Refuse => return Err(HandlerError::permanent(anyhow::anyhow!("never"))),
            Act::Away => return Err(HandlerError::unavailable(anyhow::anyhow!("no store"))),
            Act::Panic => panic!("at the disco"),
            Act::Sleep(pause) => sleep(pause).await,
        }
        self.applied.lock().unwrap().push((event.key.clone(), number));
        Ok(())
    }
}

impl<F> Script<F> {
    pub(super) fn new(act: F) -> Arc<Self>
    where
        F: Fn(&Event, u32) -> Act,
    {
        Arc::new(Self { applied: Mutex::default(), tries: Mutex::default(), act })
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.applied.lock().unwrap().iter().map(|(_, number)| *number).collect()
    }

    /// How many events have been tried.
    fn tried(&self) -> usize {
        self.tries.lock().unwrap().len()
    }

    /// How often anything has been tried.
    pub(super) fn all_tries(&self) -> u32 {
        self.tries.lock().unwrap().values().sum()
    }

    fn tries(&self, number: u64) -> u32 {
        self.tries.lock().unwrap().get(&number).copied().unwrap_or_default()
    }
}

/// A consumer at work.
pub(super) struct Running {
    token: CancellationToken,
    tracker: TaskTracker,
    run: JoinHandle<()>,
}

pub(super) fn policy() -> Policy {
    Policy { first_backoff: Duration::from_millis(5), max_backoff: Duration::from_millis(20), ..Policy::default() }
}

pub(super) async fn start(bus: &Arc<dyn Bus>, handler: Arc<dyn Handler>, policy: Policy) -> Running {
    // The group is there from now on, and what is published counts for it.
    bus.subscribe("group", KINDS).await.unwrap().close().await;
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let consumer = Consumer::new(Arc::clone(bus), "group", KINDS, handler, policy);
    let work = consumer.run(token.clone(), tracker.clone());
    let run = tracker.spawn(async move { work.await.unwrap() });
    Running { token, tracker, run }
}

impl Running {
    pub(super) async fn stop(self) {
        self.token.cancel();
        self.run.await.unwrap();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

pub(super) async fn dead_letters(bus: &Arc<dyn Bus>) -> Vec<DeadLetter> {
    bus.dead_letters(Some("group"), 100).await.unwrap()
}

/// A failing event is tried again before any later one of its key; other keys go on.
pub async fn failures_are_retried_in_order(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|event, tried| if number(event) == 1 && tried < 4 { Act::Fail } else { Act::Apply });
    let running = start(&bus, script.clone(), policy()).await;
    publish(&bus, &[event("bad", 1), event("bad", 2), event("good", 10), event("good", 11)]).await;
    settled(&bus).await;
    running.stop().await;
    let applied = script.numbers();
    let of = |numbers: [u64; 2]| applied.iter().copied().filter(|n| numbers.contains(n)).collect::<Vec<_>>();
    assert_eq!((of([1, 2]), of([10, 11])), (vec![1, 2], vec![10, 11]));
    assert_eq!(script.tries(1), 4);
    assert!(dead_letters(&bus).await.is_empty());
}

/// What can never work is not tried twice.
pub async fn a_permanent_failure_is_a_dead_letter_at_once(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|event, _| if number(event) == 1 { Act::Refuse } else { Act::Apply });
    let running = start(&bus, script.clone(), policy()).await;
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    settled(&bus).await;
    running.stop().await;
    assert_eq!((script.tries(1), script.numbers()), (1, vec![2]));
    let dead_letters = dead_letters(&bus).await;
    assert_eq!((dead_letters.len(), dead_letters[0].reason.cause), (1, Cause::Permanent));
    assert_eq!(dead_letters[0].reason.detail, "never");
}

/// Poison ends among the dead letters with its reason; a replay after the repair is applied once.
pub async fn poison_is_given_up_and_can_be_replayed_once(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let repaired = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&repaired);
    let script =
        Script::new(
            move |event, _| {
                if number(event) == 1 && seen.load(Ordering::SeqCst) == 0 { Act::Fail } else { Act::Apply }
            },
        );
    let running = start(&bus, script.clone(), Policy { max_attempts: 3, ..policy() }).await;
    let poison = event("key", 1);
    publish(&bus, &[poison.clone(), event("key", 2)]).await;
    settled(&bus).await;
    assert_eq!((script.tries(1), script.numbers()), (3, vec![2]));
    let dead_letter = dead_letters(&bus).await.remove(0);
    assert_eq!((dead_letter.reason.cause, dead_letter.attempts), (Cause::Exhausted, 3));
    assert_eq!(dead_letter.reason.detail, "applying: not now");
    repaired.store(1, Ordering::SeqCst);
    replay(&bus, poison.id).await;
    settled(&bus).await;
    running.stop().await;
    assert_eq!(script.numbers(), [2, 1]);
    assert!(dead_letters(&bus).await.is_empty());
}

/// A panic is a failure like any other: tried again, then put aside; the consumer lives.
pub async fn a_panic_is_caught(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|event, tried| match number(event) {
        1 => Act::Panic,
        2 if tried == 1 => Act::Panic,
        _ => Act::Apply,
    });
    let running = start(&bus, script.clone(), Policy { max_attempts: 2, ..policy() }).await;
    publish(&bus, &[event("key", 1), event("key", 2)]).await;
    settled(&bus).await;
    running.stop().await;
    assert_eq!(script.numbers(), [2]);
    let dead_letter = dead_letters(&bus).await.remove(0);
    assert_eq!((dead_letter.reason.cause, dead_letter.reason.detail.as_str()), (Cause::Panicked, "at the disco"));
}

/// A handler that hangs is dropped and its event tried again.
pub async fn a_handler_runs_out_of_time(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|event, tried| match number(event) {
        1 => Act::Sleep(LONG),
        2 if tried == 1 => Act::Sleep(LONG),
        _ => Act::Apply,
    });
    let policy = Policy { max_attempts: 2, timeout: Duration::from_millis(150), ..policy() };
    let running = start(&bus, script.clone(), policy).await;
    publish(&bus, &[event("a", 1), event("b", 2), event("c", 3)]).await;
    settled(&bus).await;
    running.stop().await;
    assert_eq!(script.numbers(), [3, 2]);
    let dead_letters = dead_letters(&bus).await;
    assert_eq!((dead_letters.len(), dead_letters[0].reason.cause), (1, Cause::TimedOut));
}

/// A handler may take longer than a lease: the lease is renewed meanwhile.
pub async fn a_slow_handler_keeps_its_event(broker: &dyn Broker) {
    let lease = Duration::from_secs(3);
    let (bus, other) = (broker.open(lease).await, broker.open(lease).await);
    let script = Script::new(move |_, _| Act::Sleep(lease * 3 / 2));
    let a = start(&bus, script.clone(), policy()).await;
    let b = start(&other, script.clone(), policy()).await;
    publish(&bus, &[event("key", 1)]).await;
    settled(&bus).await;
    a.stop().await;
    b.stop().await;
    assert_eq!((script.tries(1), script.numbers()), (1, vec![1]));
}

/// No more handlers run at once than the policy says, however much waits.
pub async fn handlers_are_bounded(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|_, _| Act::Sleep(LONG));
    let events: Vec<Event> = (0..20).map(|n| event(n, n)).collect();
    publish(&bus, &events).await;
    let running = start(&bus, script.clone(), Policy { max_in_flight: 3, drain: Duration::ZERO, ..policy() }).await;
    testkit::eventually!(within DEADLINE, script.tried() == 3);
    sleep(super::QUIET).await;
    assert_eq!(script.tried(), 3);
    running.stop().await;
}

/// Two consumers in two processes, handlers that fail, panic and dawdle at random: each key in order, nothing lost.
pub async fn keys_are_in_order_under_random_failures(broker: &dyn Broker) {
    let (bus, other) = (broker.open(LONG).await, broker.open(LONG).await);
    let script = Script::new(|_, _| match rand::random_range(0..10) {
        0..2 => Act::Fail,
        2 => Act::Panic,
        3 | 4 => Act::Sleep(Duration::from_millis(rand::random_range(0..8))),
        _ => Act::Apply,
    });
    let running = join_all([&bus, &other].map(|bus| start(bus, script.clone(), policy()))).await;
    let (keys, each) = (16_u64, 12_u64);
    for n in 0..each {
        let round: Vec<Event> = (0..keys).map(|key| event(key, key * 1000 + n)).collect();
        publish(&bus, &round).await;
    }
    settled(&bus).await;
    for consumer in running {
        consumer.stop().await;
    }
    assert!(dead_letters(&bus).await.is_empty());
    let applied = script.applied.lock().unwrap().clone();
    for key in 0..keys {
        let of_key = applied.iter().filter(|(name, _)| *name == key.to_string()).map(|(_, number)| *number);
        assert_eq!(of_key.collect::<Vec<_>>(), (0..each).map(|n| key * 1000 + n).collect::<Vec<_>>());
    }
}

/// Members that come at the same moment take nothing from each other.
pub async fn newcomers_share_peacefully(broker: &dyn Broker) {
    let buses = [broker.open(LONG).await, broker.open(LONG).await, broker.open(LONG).await];
    let script = Script::new(|_, _| Act::Sleep(Duration::from_millis(2)));
    let (rounds, events) = (8, 64);
    for round in 0..rounds {
        let numbers = round * events..(round + 1) * events;
        publish(&buses[0], &numbers.map(|number| event(number, number)).collect::<Vec<_>>()).await;
        let running = join_all(buses.iter().map(|bus| start(bus, script.clone(), policy()))).await;
        settled(&buses[0]).await;
        for consumer in running {
            consumer.stop().await;
        }
    }
    let mut applied = script.numbers();
    applied.sort_unstable();
    assert_eq!(applied, (0..rounds * events).collect::<Vec<_>>());
}

/// At the end of a process what runs is finished and acknowledged, and what did not run is as if never delivered.
pub async fn a_drain_finishes_and_gives_back(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|_, _| Act::Sleep(Duration::from_millis(200)));
    let events: Vec<Event> = (0..40).map(|n| event(n % 8, n)).collect();
    publish(&bus, &events).await;
    let running = start(&bus, script.clone(), Policy { max_in_flight: 4, ..policy() }).await;
    testkit::eventually!(within DEADLINE, script.tried() >= 6);
    running.stop().await;
    let applied = script.numbers();
    assert!(applied.len() >= 6 && applied.len() < 40, "{applied:?}");
    assert_eq!(applied.len(), script.tried(), "none was cut off");
    let rest = finish(&join(&broker.open(LONG).await, "group").await, 40 - applied.len()).await;
    let read_ahead = u32::from(broker.differs(Difference::ReadAheadCounts));
    assert!(rest.iter().all(|delivery| delivery.attempt <= 1 + read_ahead), "none was tried");
    assert!(numbers(&rest).iter().all(|number| !applied.contains(number)), "none comes twice");
}

/// A handler that does not end in time is stopped, and its event is free for others at once.
pub async fn a_drain_ends_by_force(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|_, _| Act::Sleep(LONG));
    publish(&bus, &[event("key", 1)]).await;
    let running =
        start(&bus, script.clone(), Policy { drain: Duration::from_millis(50), timeout: LONG, ..policy() }).await;
    testkit::eventually!(within DEADLINE, script.tries(1) == 1);
    running.stop().await;
    let subscription = join(&bus, "group").await;
    assert_eq!(numbers(&finish(&subscription, 1).await), [1]);
    silence(&subscription).await;
}

/// What a handler finds around it.
struct Found {
    canary: bool,
    trace: Option<String>,
    deadline: bool,
    effect: Event,
}

struct Context(Mutex<Vec<Found>>);

#[async_trait]
impl Handler for Context {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        assert_eq!(event.carrier.canary, telemetry::canary());
        self.0.lock().unwrap().push(Found {
            canary: telemetry::canary(),
            trace: telemetry::trace_id(),
            deadline: telemetry::deadline().is_some(),
            effect: super::event("effect", 0),
        });
        Ok(())
    }
}

/// A handler runs in the trace of the event's cause and under its canary mark, and so does what it causes.
pub async fn the_trace_and_the_canary_mark_arrive(broker: &dyn Broker) {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    // telemetry::try_init_for_tests();
    let bus = broker.open(LONG).await;
    let traceparent = Some(format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let marked = Carrier { traceparent, tracestate: None, canary: true };
    let context = Arc::new(Context(Mutex::default()));
    let running = start(&bus, context.clone(), policy()).await;
    publish(&bus, &[Event { carrier: marked, ..event("key", 1) }]).await;
    settled(&bus).await;
    publish(&bus, &[Event { carrier: Carrier::default(), ..event("key", 2) }]).await;
    settled(&bus).await;
    running.stop().await;
    let seen = context.0.lock().unwrap();
    let [first, second] = &seen[..] else { panic!("two events were handled, not {}", seen.len()) };
    assert_eq!((first.canary, first.trace.as_deref(), first.deadline), (true, Some(TRACE), true));
    assert!(first.effect.carrier.canary);
    let parent = first.effect.carrier.traceparent.as_deref();
    assert!(parent.is_some_and(|parent| parent.contains(TRACE)), "{parent:?}");
    assert!(!second.canary && !second.effect.carrier.canary);
    assert_ne!(second.trace.as_deref(), Some(TRACE));
}
