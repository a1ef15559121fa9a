//! What becomes of deliveries, and the calls that say so to the bus.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use messaging::{Bus, Consumer, Event, Handler, HandlerError, Policy, Receipt};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{begin, value};

const GROUP: &str = "measured";
const KIND: &str = "thing.happened.v1";
const AWAY: u64 = 3;
const FAILS: u64 = 4;

/// Applies what is 0, what is 1 at the second try, what is 2 never, and for the last of them its store is away.
#[derive(Default)]
struct Script(AtomicU64);

#[async_trait]
impl Handler for Script {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        let error = || anyhow::anyhow!("as it is written");
        match event.decode::<u64>().unwrap() {
            1 if self.0.fetch_add(1, Ordering::Relaxed) == 0 => Err(HandlerError::transient(error())),
            2 => Err(HandlerError::permanent(error())),
            AWAY => Err(HandlerError::unavailable(error())),
            FAILS => Err(HandlerError::transient(error())),
            _ => Ok(()),
        }
    }
}

/// How often the bus was asked to do this.
fn calls(operation: &str) -> Option<f64> {
    let labels = [
        ("messaging_consumer_group_name", GROUP),
        ("messaging_operation_name", operation),
        ("messaging_system", "sqlite"),
    ];
    value("messaging_client_operation_duration_seconds_count", &labels)
}

/// How many deliveries came to this.
fn deliveries(outcome: &str) -> Option<f64> {
    value("messaging_client_consumed_messages_total", &[("outcome", outcome), ("messaging_destination_name", KIND)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_delivery_is_measured_by_what_becomes_of_it() {
    begin();
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus: Arc<dyn Bus> = Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap());
    bus.subscribe(GROUP, &[KIND]).await.unwrap().close().await;
    let event = |number: u64| Event::new(KIND, "test", number, clock::system().now(), number).unwrap();
    bus.publish(&[0, 1, 2].map(event)).await.unwrap();
    let policy = Policy { first_backoff: Duration::from_millis(5), ..Policy::default() };
    let consumer = Consumer::new(Arc::clone(&bus), GROUP, &[KIND], Arc::new(Script::default()), policy);
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let run = tracker.spawn(consumer.run(token.clone(), tracker.clone()));

    testkit::eventually!(calls("ack") == Some(2.0) && calls("dead_letter") == Some(1.0));
    bus.publish(&[event(AWAY)]).await.unwrap();
    testkit::eventually!(deliveries("unavailable").is_some());
    token.cancel();
    run.await.unwrap().unwrap();

    assert_eq!(["ack", "retry", "dead_letter", "release"].map(calls), [2.0, 1.0, 1.0, 1.0].map(Some));
    assert!(calls("receive").is_some_and(|calls| calls >= 1.0));
    assert_eq!(["done", "retried", "permanent"].map(deliveries), [2.0, 1.0, 1.0].map(Some));
    assert_eq!(deliveries("exhausted"), None, "what was tried again is not given up");
    let of_group =
        |name: &str| value(name, &[("messaging_consumer_group_name", GROUP), ("messaging_system", "sqlite")]);
    assert_eq!(of_group("messaging_consumer_dead_letters_total"), Some(1.0));
    assert_eq!(of_group("messaging_process_delay_seconds_count"), Some(2.0));
    assert!(of_group("messaging_process_duration_seconds_count").is_some_and(|handled| handled >= 5.0));
}

/// A cause is counted once for each event that was given up, and then nothing waits for the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cause_is_counted_when_an_event_is_given_up() {
    const DYING: &str = "thing.died.v1";
    begin();
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus: Arc<dyn Bus> = Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap());
    bus.subscribe("dying", &[DYING]).await.unwrap().close().await;
    let event = |number: u64| Event::new(DYING, "test", number, clock::system().now(), FAILS).unwrap();
    bus.publish(&(0..30).map(event).collect::<Vec<_>>()).await.unwrap();
    let policy = Policy { max_attempts: 3, first_backoff: Duration::from_millis(5), ..Policy::default() };
    let consumer = Consumer::new(Arc::clone(&bus), "dying", &[DYING], Arc::new(Script::default()), policy);
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let run = tracker.spawn(consumer.run(token.clone(), tracker.clone()));
    let of_group = |name: &str, label: &[(&str, &str)]| {
        value(name, &[&[("messaging_consumer_group_name", "dying")][..], label].concat())
    };
    let outcome = |outcome| of_group("messaging_client_consumed_messages_total", &[("outcome", outcome)]);
    testkit::eventually!(within Duration::from_secs(30), of_group("messaging_consumer_waiting", &[]) == Some(0.0));
    assert_eq!(of_group("messaging_consumer_dead_letters_total", &[]), Some(30.0));
    testkit::eventually!(of_group("messaging_consumer_dead", &[]) == Some(30.0));
    assert_eq!(["exhausted", "retried"].map(outcome), [30.0, 60.0].map(Some));
    token.cancel();
    run.await.unwrap().unwrap();
}

/// Who cannot join receives nothing, and that is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_cannot_be_joined_fails_to_receive() {
    begin();
    let folder = testkit::temp_dir();
    let bus: Arc<dyn Bus> =
        Arc::new(sqlite::Bus::open(&testkit::sqlite_url(&folder, "bus.db"), clock::system()).await.unwrap());
    bus.close().await;
    let consumer = Consumer::new(bus, "never", &[KIND], Arc::new(Script::default()), Policy::default());
    let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
    let run = tracker.spawn(consumer.run(token.clone(), tracker.clone()));
    let labels = [
        ("messaging_consumer_group_name", "never"),
        ("messaging_operation_name", "receive"),
        ("error_type", "unavailable"),
    ];
    testkit::eventually!(value("messaging_client_operation_duration_seconds_count", &labels).is_some());
    token.cancel();
    run.await.unwrap().unwrap();
}
