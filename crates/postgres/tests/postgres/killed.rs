//! The server is killed under writers and a relay.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use messaging::{Bus as _, Effects, Event, Relay, Wake};
use postgres::{Error, connect, open, ping, record};
use sqlx::migrate::Migrator;
use testkit::{eventually, servers::Postgres};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const KEYS: usize = 4;
const EVENTS: u64 = 60;
const KILLS: u32 = 3;
static NOTHING: Migrator = Migrator::DEFAULT;

async fn try_to_store(pool: &postgres::Pool, event: &Event) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let _ = record(&mut tx, &Effects::of(vec![event.clone()])).await?;
    tx.commit().await
}

/// Stores numbered events of one key. Whether a lost commit was one is not known: the same event is stored again, and
/// the bus knows it by its id.
async fn write(pool: &postgres::Pool, wake: &Wake, key: usize) {
    for number in 0..EVENTS {
        let event = Event::new("thing.happened.v1", "test", key, clock::system().now(), number).unwrap();
        while try_to_store(pool, &event).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        wake.poke();
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes everything from the bus: the numbers by key, as they came.
async fn read(bus: &sqlite::Bus) -> HashMap<String, Vec<u64>> {
    let subscription = bus.subscribe("test", &["thing.happened.v1"]).await.unwrap();
    let mut seen: HashMap<String, Vec<u64>> = HashMap::new();
    while seen.values().map(Vec::len).sum::<usize>() < KEYS * usize::try_from(EVENTS).unwrap() {
        for delivery in subscription.fetch(32).await.unwrap() {
            subscription.ack(&delivery).await.unwrap();
            seen.entry(delivery.event.key.clone()).or_default().push(delivery.event.decode().unwrap());
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_the_server_is_killed() {
    let Some(server) = Postgres::alone().await else { return };
    let pool = open(&server.database().await, "test", &NOTHING, true).await.unwrap();
    let outbox = postgres::Outbox::new(pool.clone());
    let bus = sqlite::Bus::open("sqlite::memory:", clock::system()).await.unwrap();
    let relay = Relay::new(Arc::new(outbox), Arc::new(bus.clone()));
    let (wake, token, tasks) = (relay.wake(), CancellationToken::new(), TaskTracker::new());
    tasks.spawn(relay.run(token.clone()));
    let killing = async {
        for _ in 0..KILLS {
            sleep(Duration::from_millis(300)).await;
            server.kill_and_restart().await;
        }
    };
    let writing = join_all((0..KEYS).map(|key| write(&pool, &wake, key)));
    let reading = timeout(Duration::from_mins(1), read(&bus));
    let ((), _, seen) = tokio::join!(killing, writing, reading);
    let expected: Vec<u64> = (0..EVENTS).collect();
    let seen = seen.expect("every event in time");
    assert_eq!(seen.len(), KEYS);
    assert!(seen.values().all(|numbers| *numbers == expected), "{seen:?}");
    token.cancel();
    tasks.close();
    tasks.wait().await;
    assert_eq!(bus.depth("test").await.unwrap(), 0, "and nothing more");
}

/// sqlx waits for the server until the caller's time is over, and says no more than that.
#[tokio::test]
async fn a_server_that_is_away_is_said_to_be() {
    let Some(server) = Postgres::alone().await else { return };
    let pool = connect(&server.database().await, "test").await.unwrap();
    server.kill();
    let refused =
        |error: &sqlx::Error| matches!(error, sqlx::Error::Io(cause) if cause.to_string().contains("refused"));
    let is_away = |answer: &Result<(), Error>| matches!(answer, Err(Error::Connect(error)) if refused(error));
    eventually!(timeout(Duration::from_secs(1), ping(&pool)).await.is_ok_and(|answer| is_away(&answer)));
    let asked = sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
    assert!(refused(&asked), "{asked}");
    server.restart().await;
    eventually!(ping(&pool).await);
}
