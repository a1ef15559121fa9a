//! The server is killed under a publisher and two consumers.

use std::{sync::Arc, time::Duration};

use messaging::Event;
use testkit::servers::Nats;
use tokio::time::sleep;

use super::support::{Inbox, Member, event, insist, open, settled};

const KEYS: u64 = 5;
const EVENTS: u64 = 80;
const KILLS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_the_server_is_killed() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let inbox = Arc::new(Inbox::default());
    let members = [Member::start(open(&url).await, &inbox), Member::start(open(&url).await, &inbox)];
    let bus = open(&url).await;
    let publishing = async {
        for number in 0..EVENTS {
            insist(&bus, &(0..KEYS).map(|key| event(key, number)).collect::<Vec<Event>>()).await;
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
    settled(&bus).await;
    for member in members {
        member.stop().await;
    }
    let expected: Vec<u64> = (0..EVENTS).collect();
    let seen = inbox.applied();
    assert_eq!(seen.len() as u64, KEYS);
    assert!(seen.values().all(|numbers| *numbers == expected), "{seen:?}");
}
