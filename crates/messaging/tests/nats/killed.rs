//! The server is killed under a publisher and two consumers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use messaging::nats::NatsBus;
use messaging::{Bus, Consumer, Event, Failure, Handler, Policy, Receipt};
use testkit::servers::Nats;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const KEYS: u64 = 5;
const EVENTS: u64 = 80;
const KILLS: u32 = 5;

/// Applies each event once, as an inbox would.
#[derive(Default)]
struct Inbox {
    known: Mutex<HashSet<uuid::Uuid>>,
    applied: Mutex<HashMap<String, Vec<u64>>>,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), Failure> {
        if self.known.lock().unwrap().insert(event.id) {
            self.applied
                .lock()
                .unwrap()
                .entry(event.key.clone())
                .or_default()
                .push(event.decode().map_err(Failure::permanent)?);
        }
        Ok(())
    }
}

async fn open(url: &str) -> Arc<dyn Bus> {
    Arc::new(NatsBus::open(url, clock::system()).await.unwrap().with_lease(Duration::from_secs(1)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_the_server_is_killed() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let inbox = Arc::new(Inbox::default());
    let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
    for _ in 0..2 {
        let consumer =
            Consumer::new(open(&url).await, "group", &["thing.happened.v1"], inbox.clone(), Policy::default());
        tasks.spawn(consumer.run(token.clone(), tasks.clone()));
    }
    let bus = open(&url).await;
    let publishing = async {
        for number in 0..EVENTS {
            let event = |key| Event::new("thing.happened.v1", "test", key, clock::system().now(), number).unwrap();
            let round: Vec<Event> = (0..KEYS).map(event).collect();
            while bus.publish(&round).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            sleep(Duration::from_millis(30)).await;
        }
    };
    let killing = async {
        for _ in 0..KILLS {
            sleep(Duration::from_millis(400)).await;
            server.kill_and_restart().await;
        }
    };
    tokio::join!(publishing, killing);
    testkit::eventually!(within Duration::from_mins(1), bus.depth("group").await.is_ok_and(|depth| depth == 0));
    token.cancel();
    tasks.close();
    tasks.wait().await;
    let expected: Vec<u64> = (0..EVENTS).collect();
    let seen = inbox.applied.lock().unwrap();
    assert_eq!(seen.len() as u64, KEYS);
    assert!(seen.values().all(|numbers| *numbers == expected), "{seen:?}");
}
