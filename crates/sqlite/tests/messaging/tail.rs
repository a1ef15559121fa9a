//! What a tail says of a log that has lost something.

use std::time::Duration;

use messaging::{Bus as _, Event, Tail, Tailed};
use sqlx::migrate::Migrator;
use testkit::ManualClock;
use tokio::time::timeout;

static NOTHING: Migrator = Migrator::DEFAULT;
const KIND: &str = "thing.happened.v1";

fn event(number: u64) -> Event {
    Event::new(KIND, "test", number, clock::system().now(), number).unwrap()
}

async fn next(tail: &mut Box<dyn Tail>) -> Tailed {
    timeout(Duration::from_secs(10), tail.next()).await.expect("something in time").unwrap()
}

async fn number(tail: &mut Box<dyn Tail>) -> u64 {
    match next(tail).await {
        Tailed::Event(_, event) => event.decode().unwrap(),
        Tailed::Gap => panic!("a gap"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forgotten_meanwhile_is_a_gap() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let clock = ManualClock::at_now();
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    let mut tail = bus.tail(&[KIND], 0).await.unwrap();
    bus.publish(&[event(1)]).await.unwrap();
    assert_eq!(number(&mut tail).await, 1);
    bus.publish(&[event(2), event(3)]).await.unwrap();
    clock.advance(Duration::from_hours(9 * 24));
    // One that has just been opened looks for what is old at once.
    let other = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    other.publish(&[event(4)]).await.unwrap();
    assert!(matches!(next(&mut tail).await, Tailed::Gap));
    assert_eq!(number(&mut tail).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_place_of_another_is_a_gap() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let mut tail = bus.tail(&[KIND], 0).await.unwrap();
    bus.publish(&[event(1), event(2)]).await.unwrap();
    assert_eq!((number(&mut tail).await, number(&mut tail).await), (1, 2));
    let before = tail.cursor().clone();
    // As when a copy of another log is put into the file.
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    for statement in ["UPDATE identity SET log = log + 1", "DELETE FROM log WHERE place = 1"] {
        sqlx::query(statement).execute(&database.write).await.unwrap();
    }
    assert!(matches!(next(&mut tail).await, Tailed::Gap));
    assert!(!tail.cursor().includes(&before));
    assert_eq!(number(&mut tail).await, 2, "what the other log has is news");
}
