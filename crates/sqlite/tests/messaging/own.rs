//! What only the embedded adapters promise.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use messaging::{
    Bus as _, Cause, Consumer, Effects, Event, Handler, HandlerError, Outbox as _, Policy, Reason, Receipt, Resolution,
    Track,
};
use sqlx::migrate::Migrator;
use testkit::ManualClock;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

static NOTHING: Migrator = Migrator::DEFAULT;
const HOUR: Duration = Duration::from_hours(1);
const KIND: &str = "thing.happened.v1";

fn event(key: u64, number: u64) -> Event {
    Event::new(KIND, "test", key, clock::system().now(), number).unwrap()
}

async fn logged(url: &str) -> i64 {
    let database = sqlite::open(url, &NOTHING).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM log").fetch_one(&database.read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_may_make_the_file_at_once() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let opened = join_all((0..6).map(|_| sqlite::Bus::open(&url, clock::system()))).await;
    for bus in opened {
        bus.unwrap().publish(&[event(1, 1)]).await.unwrap();
    }
    assert_eq!(logged(&url).await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_events_are_forgotten_when_nobody_needs_them() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let clock = ManualClock::at_now();
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    let events: Vec<Event> = (0..6).map(|n| event(n, n)).collect();
    bus.publish(&events).await.unwrap();
    clock.advance(Duration::from_hours(9 * 24));
    // Each handle looks with its first event, and then after a minute.
    let another = async || sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    another().await.publish(&[event(6, 6)]).await.unwrap();
    assert_eq!(logged(&url).await, 7, "the group has not taken them over");
    for delivery in subscription.fetch(4).await.unwrap() {
        subscription.ack(&delivery).await.unwrap();
    }
    another().await.publish(&[event(7, 7)]).await.unwrap();
    assert_eq!(logged(&url).await, 4, "two old ones are pending, two are young");
}

/// Copies the one dead letter that there is, until there is no room for another.
async fn fill(url: &str) -> sqlite::Database {
    const FILL: &str = "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO dead (grp, place, key, attempts, replays, cause, detail, dead_at)
        SELECT grp, place - n, key, attempts, replays, cause, detail, dead_at FROM dead, n";
    let database = sqlite::open(url, &NOTHING).await.unwrap();
    sqlx::query(FILL).bind(messaging::DEAD_LETTERS).execute(&database.write).await.unwrap();
    database
}

/// Cannot handle the events of one key until it is repaired.
#[derive(Default)]
struct Broken {
    repaired: AtomicBool,
    failed: AtomicU32,
    done: AtomicU32,
}

#[async_trait]
impl Handler for Broken {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        if event.key == "1" && !self.repaired.load(Ordering::SeqCst) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(HandlerError::permanent(anyhow::anyhow!("not yet")));
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// It is handed to its handler again and again, holds up no other, and is done when the handler is repaired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_room_is_done_as_soon_as_it_can_be() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus = Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap());
    let (handler, token, tasks) = (Arc::new(Broken::default()), CancellationToken::new(), TaskTracker::new());
    let policy = Policy { max_attempts: 3, max_backoff: Duration::from_millis(50), ..Policy::default() };
    let attempts = policy.max_attempts;
    let consumer = Consumer::new(bus.clone(), "group", &[KIND], handler.clone(), policy);
    tasks.spawn(consumer.run(token.clone(), tasks.clone()));
    bus.publish(&[event(1, 1)]).await.unwrap();
    testkit::eventually!(bus.count_dead_letters("group").await.unwrap() == 1);
    fill(&url).await;
    bus.publish(&[event(1, 2), event(2, 3)]).await.unwrap();
    testkit::eventually!(handler.failed.load(Ordering::SeqCst) > 2 * attempts);
    assert_eq!(handler.done.load(Ordering::SeqCst), 1, "the other key goes on");
    handler.repaired.store(true, Ordering::SeqCst);
    testkit::eventually!(handler.done.load(Ordering::SeqCst) == 2);
    assert_eq!(bus.count_dead_letters("group").await.unwrap(), u64::from(messaging::DEAD_LETTERS));
    token.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Dead letters are bounded: where there is no room for another, what fails is neither given up nor lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_room_for_is_tried_on() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let member = bus.subscribe("group", &[KIND]).await.unwrap();
    let other = bus.subscribe("another group", &[KIND]).await.unwrap();
    bus.publish(&[event(1, 1), event(2, 2)]).await.unwrap();
    let reason = || Reason { cause: Cause::Permanent, detail: "bad".to_owned() };
    let [first, second] = &member.fetch(2).await.unwrap()[..] else { panic!("two were published") };
    member.dead_letter(first, reason()).await.unwrap();
    let database = fill(&url).await;
    assert_eq!(bus.count_dead_letters("group").await.unwrap(), u64::from(messaging::DEAD_LETTERS));
    let refused = member.dead_letter(second, reason()).await.unwrap_err();
    assert!(matches!(refused, messaging::Error::NoRoom), "{refused}");
    other.dead_letter(&other.fetch(1).await.unwrap()[0], reason()).await.unwrap();
    sqlx::query("DELETE FROM dead WHERE id % 2 = 0").execute(&database.write).await.unwrap();
    member.dead_letter(second, reason()).await.unwrap();
}

/// Dead letters are kept, and what comes after them is forgotten all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_events_are_forgotten_behind_a_thousand_dead_letters() {
    const GIVE_UP: &str = "INSERT INTO dead (grp, place, key, attempts, replays, cause, detail, dead_at)
        SELECT grp, place, key, 1, 0, 'permanent', '', 0 FROM pending WHERE place <= 1000;
        DELETE FROM pending;";
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let clock = ManualClock::at_now();
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    bus.publish(&(0..1_010).map(|n| event(n, n)).collect::<Vec<_>>()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    let taken = async || {
        let cursor = sqlx::query_scalar("SELECT min(cursor) FROM subscriptions").fetch_one(&database.read);
        cursor.await.unwrap_or(0_i64)
    };
    while taken().await < 1_010 {
        assert!(!subscription.fetch(1_010).await.unwrap().is_empty());
    }
    sqlx::raw_sql(GIVE_UP).execute(&database.write).await.unwrap();
    clock.advance(Duration::from_hours(9 * 24));
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    let young = event(0, 2_000);
    testkit::eventually!(within Duration::from_secs(10), {
        bus.publish(std::slice::from_ref(&young)).await.unwrap();
        logged(&url).await == 1_001
    });
}

/// One that was logged under a clock that was ahead stays, and does not slow down what goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_events_are_forgotten_around_one_that_seems_young() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let clock = ManualClock::at_now();
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    bus.publish(&(0..3_000).map(|n| event(n, n)).collect::<Vec<_>>()).await.unwrap();
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    let ahead = "UPDATE log SET logged_at = logged_at + 31536000000000 WHERE place = 500";
    sqlx::query(ahead).execute(&database.write).await.unwrap();
    clock.advance(Duration::from_hours(9 * 24));
    let bus = sqlite::Bus::open(&url, clock.shared()).await.unwrap();
    let young = event(0, 3_000);
    testkit::eventually!(within Duration::from_secs(10), {
        bus.publish(std::slice::from_ref(&young)).await.unwrap();
        logged(&url).await == 2
    });
}

/// A row of the log that cannot be read is a dead letter of its groups; who shares its fetch is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_row_of_the_log_that_cannot_be_read_holds_up_no_other() {
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    bus.publish(&[event(0, 0), event(1, 1)]).await.unwrap();
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    sqlx::query("UPDATE log SET id = x'00' WHERE key = '0'").execute(&database.write).await.unwrap();
    assert_eq!(subscription.fetch(1).await.unwrap()[0].event.key, "1", "the bad one is the oldest");
    // Taken over and then gone.
    sqlx::query("DELETE FROM log WHERE key = '1'").execute(&database.write).await.unwrap();
    bus.publish(&(2..7).map(|n| event(n, n)).collect::<Vec<_>>()).await.unwrap();
    let mut keys = Vec::new();
    while keys.len() < 5 {
        for delivery in timeout(Duration::from_secs(20), subscription.fetch(9)).await.unwrap().unwrap() {
            subscription.ack(&delivery).await.unwrap();
            keys.push(delivery.event.key.clone());
        }
    }
    keys.sort_unstable();
    assert_eq!(keys, ["2", "3", "4", "5", "6"]);
    let dead = async || -> Vec<(String, String)> {
        let found = sqlx::query_as("SELECT key, cause FROM dead ORDER BY key").fetch_all(&database.read);
        found.await.unwrap()
    };
    let given_up = |key: &str| (key.to_owned(), "unreadable".to_owned());
    testkit::eventually!(within Duration::from_secs(20), {
        drop(timeout(Duration::from_millis(100), subscription.fetch(9)).await);
        dead().await == [given_up("0"), given_up("1")]
    });
}

/// Also where another version gave it up for a cause that this one does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_letter_that_cannot_be_read_holds_up_no_other() {
    const SPOIL: &str =
        "UPDATE log SET id = x'00' WHERE key = '0'; UPDATE dead SET cause = 'to be invented' WHERE key = '1';";
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    bus.publish(&(0..3).map(|n| event(n, n)).collect::<Vec<_>>()).await.unwrap();
    for delivery in subscription.fetch(3).await.unwrap() {
        let reason = Reason { cause: Cause::Permanent, detail: String::new() };
        subscription.dead_letter(&delivery, reason).await.unwrap();
    }
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    sqlx::raw_sql(SPOIL).execute(&database.write).await.unwrap();
    let listed = bus.dead_letters(None, 9).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|dead| (dead.event.key.as_str(), dead.reason.cause)).collect();
    assert_eq!(shown, [("1", Cause::Unknown), ("2", Cause::Permanent)]);
    assert_eq!(bus.resolve("group", &[listed[0].event.id], Resolution::Replay).await.unwrap(), 1);
    assert_eq!(subscription.fetch(1).await.unwrap()[0].event.key, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_follows_the_clock_that_is_passed_in() {
    let clock = ManualClock::at_now();
    let bus = sqlite::Bus::open("sqlite::memory:", clock.shared()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    bus.publish(&[event(1, 1)]).await.unwrap();
    assert_eq!(subscription.fetch(1).await.unwrap()[0].attempt, 1);
    let (again, ()) = tokio::join!(subscription.fetch(1), async { clock.advance(Duration::from_secs(6)) });
    assert_eq!(again.unwrap()[0].attempt, 2);
}

/// Leases and pauses that were stored under a clock that was an hour ahead are over once it is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_silences_no_outbox() {
    let database = sqlite::open("sqlite::memory:", &NOTHING).await.unwrap();
    let (clock, now) = (ManualClock::at_now(), clock::system().now());
    let outbox = sqlite::Outbox::open(database.clone(), clock.shared()).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let _ = sqlite::record(&mut tx, &Effects::of(vec![event(1, 1), event(1, 2)])).await.unwrap();
    tx.commit().await.unwrap();
    clock.set(now + HOUR);
    let claimed = outbox.claim("killed", 9).await.unwrap();
    outbox.fail(&claimed[0], "not now", Some(Duration::from_secs(5))).await.unwrap();
    assert!(outbox.claim("killed", 9).await.unwrap().is_empty(), "it waits, and its key with it");
    clock.set(now);
    let claimed = outbox.claim("next", 9).await.unwrap();
    assert_eq!(claimed.len(), 2);
    outbox.confirm(&claimed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_silences_no_consumer() {
    let (clock, now) = (ManualClock::at_now(), clock::system().now());
    let bus = sqlite::Bus::open("sqlite::memory:", clock.shared()).await.unwrap();
    let canary = bus.clone().on_track(Track::Canary);
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    clock.set(now + HOUR);
    drop(canary.subscribe("group", &[KIND]).await.unwrap());
    let marked = |key| {
        let mut event = event(key, key);
        event.carrier.canary = true;
        event
    };
    bus.publish(&[event(1, 1), event(2, 2), marked(3)]).await.unwrap();
    let taken = subscription.fetch(9).await.unwrap();
    assert_eq!(taken.len(), 2, "the canary's is the canary's");
    subscription.retry(&taken[0], Duration::from_secs(5)).await.unwrap();
    clock.set(now);
    let mut left = 3;
    while left > 0 {
        for delivery in timeout(Duration::from_secs(20), subscription.fetch(9)).await.unwrap().unwrap() {
            subscription.ack(&delivery).await.unwrap();
            left -= 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_forgets_what_is_old_but_never_its_newest() {
    let database = sqlite::open("sqlite::memory:", &NOTHING).await.unwrap();
    let outbox = sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500)
        INSERT INTO inbox (consumer, event, at) SELECT 'test', randomblob(16), 1 FROM n";
    sqlx::query(fill).execute(&database.write).await.unwrap();
    assert_eq!(outbox.prune().await.unwrap(), 500);
    assert_eq!(outbox.prune().await.unwrap(), 0);
}

/// A file from before there were canaries: its heads bear no mark, and another trigger makes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_marks_is_taken_over() {
    const OLD: &str =
        "DROP TRIGGER pending_next_head; DROP TABLE canaries; DROP INDEX pending_marked; DROP INDEX log_marked;
        CREATE TRIGGER pending_next AFTER DELETE ON pending WHEN OLD.head = 1 BEGIN
            UPDATE pending SET head = 1
            WHERE seq = (SELECT min(seq) FROM pending WHERE grp = OLD.grp AND key = OLD.key);
        END;
        UPDATE pending SET head = 1, visible_at = 0 WHERE head = 2;";
    let folder = testkit::temp_dir();
    let url = testkit::sqlite_url(&folder, "bus.db");
    let marked = |number| {
        let mut event = event(1, number);
        event.carrier.canary = true;
        event
    };
    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    bus.publish(&[marked(1), marked(2)]).await.unwrap();
    assert_eq!(subscription.fetch(1).await.unwrap().len(), 1, "taken over into `pending`");
    bus.close().await;
    let database = sqlite::open(&url, &NOTHING).await.unwrap();
    sqlx::raw_sql(OLD).execute(&database.write).await.unwrap();
    database.close().await;

    let bus = sqlite::Bus::open(&url, clock::system()).await.unwrap();
    let canary = bus.clone().on_track(Track::Canary).subscribe("group", &[KIND]).await.unwrap();
    let stable = bus.subscribe("group", &[KIND]).await.unwrap();
    let first = stable.fetch(1).await.unwrap().remove(0);
    stable.ack(&first).await.unwrap();
    let second = canary.fetch(1).await.unwrap().remove(0);
    let numbers = [&first, &second].map(|delivery| delivery.event.decode::<u64>().unwrap());
    assert_eq!(numbers, [1, 2], "the head that was there is as it was, and the next one bears its mark");
}
