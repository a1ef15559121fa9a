//! Several processes: each has a connection to the bus of its own.

use std::sync::Arc;

use auth::Role;
use messaging::Bus;
use testkit::servers::Nats;
use uuid::Uuid;

use super::{PATH, clients::Events, event, following, memory, publish};
use crate::app::{Person, TestApp};

async fn file(folder: &testkit::TempDir) -> Arc<dyn Bus> {
    let url = testkit::sqlite_url(folder, "bus.db");
    Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap())
}

async fn nats(url: &str) -> Arc<dyn Bus> {
    let config = messaging::Config::new(url);
    backends::bus(&config, clock::system()).await.unwrap()
}

/// A client whose connection breaks every few events, and who goes on at the other replica each time, while 1,000 events
/// are published and as many of others.
async fn no_gap_no_double(buses: [Arc<dyn Bus>; 3]) {
    let [a, b, publisher] = buses;
    let replicas = [following(&a).await, following(&b).await];
    let id = Uuid::new_v4();
    let person = |app: &TestApp| Person { id, token: app.token(id, Role::Customer, 600) };
    let mut events = Events::open(&replicas[0], &person(&replicas[0]), PATH).await;
    let mut seen = events.first.id.clone();
    let publishing = async {
        for number in 0..1_000 {
            publisher.publish(&[event(id, number), event(Uuid::new_v4(), number)]).await.unwrap();
        }
    };
    let reading = async {
        for number in 0..1_000 {
            if number % 37 == 36 {
                let app = &replicas[usize::from(number / 37 % 2 == 0)];
                events = Events::resume(app, &person(app), PATH, Some(&seen)).await;
                assert_eq!((events.first.kind.as_str(), &events.first.id), ("stream.ready", &seen));
            }
            let told = events.next().await;
            assert_eq!(told.number(), number);
            seen = told.id;
        }
        events.quiet().await;
    };
    tokio::join!(publishing, reading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_goes_on_at_another_replica() {
    let folder = testkit::temp_dir();
    no_gap_no_double([file(&folder).await, file(&folder).await, file(&folder).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_goes_on_at_another_replica_on_nats() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    no_gap_no_double([nats(&url).await, nats(&url).await, nats(&url).await]).await;
}

/// A replica that starts knows what was before it, so that those of one that died can go on there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_knows_what_was_before_it() {
    let folder = testkit::temp_dir();
    let bus = file(&folder).await;
    let old = following(&bus).await;
    let customer = old.customer();
    let seen = Events::open(&old, &customer, PATH).await.first.id;
    drop(old);
    publish(&bus, customer.id, 0..20).await;
    let new = following(&file(&folder).await).await;
    let again = Person { id: customer.id, token: new.token(customer.id, Role::Customer, 600) };
    let mut events = Events::resume(&new, &again, PATH, Some(&seen)).await;
    assert_eq!(events.first.kind, "stream.ready");
    for number in 0..20 {
        assert_eq!(events.next().await.number(), number);
    }
    events.quiet().await;
}

/// Who has seen what has not come here yet is not told that it is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_behind_is_waited_for() {
    let (ahead, behind) = (memory().await, memory().await);
    let (a, b) = (following(&ahead).await, following(&behind).await);
    let customer = a.customer();
    let mut events = Events::open(&a, &customer, PATH).await;
    publish(&ahead, customer.id, 0..1).await;
    let seen = events.next().await.id;
    // The cursor of another log is lost at once.
    let again = Person { id: customer.id, token: b.token(customer.id, Role::Customer, 600) };
    assert_eq!(Events::resume(&b, &again, PATH, Some(&seen)).await.first.kind, "stream.reset");
    let (log, offset) = seen.rsplit_once('-').unwrap();
    let next = format!("{log}-{:x}", u64::from_str_radix(offset, 16).unwrap() + 1);
    let (resumed, ()) =
        tokio::join!(Events::resume(&a, &customer, PATH, Some(&next)), publish(&ahead, customer.id, 1..2));
    assert_eq!(resumed.first.kind, "stream.ready");
    // What never comes is lost.
    let never = format!("{log}-ffff");
    assert_eq!(Events::resume(&a, &customer, PATH, Some(&never)).await.first.kind, "stream.reset");
}

/// A client that has been away for too long is told so, and goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_too_long_begins_anew() {
    let bus = memory().await;
    let app = following(&bus).await;
    let customer = app.customer();
    let seen = Events::open(&app, &customer, PATH).await.first.id;
    let others: Vec<_> = (0..9_000).map(|number| event(Uuid::new_v4(), number)).collect();
    for some in others.chunks(500) {
        bus.publish(some).await.unwrap();
    }
    let last = event(customer.id, 1);
    bus.publish(&[last]).await.unwrap();
    testkit::eventually!(within std::time::Duration::from_secs(30), {
        Events::resume(&app, &customer, PATH, Some(&seen)).await.first.kind == "stream.reset"
    });
    let mut events = Events::resume(&app, &customer, PATH, Some(&seen)).await;
    publish(&bus, customer.id, 2..3).await;
    loop {
        match events.next().await.number() {
            1 => {}
            number => return assert_eq!(number, 2),
        }
    }
}
