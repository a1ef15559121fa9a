//! The server is killed under a publisher and two consumers, and answers of it are lost.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use messaging::{Error, Event};
use testkit::{Proxy, servers::Nats};
use tokio::time::{sleep, timeout};

use super::support::{Inbox, KIND, Member, event, insist, open, settled};

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

/// Whoever acknowledged does not know that it counted, and its lease runs out: the server has nothing to deliver again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_whose_answer_is_lost_holds_up_nobody() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let proxy = Proxy::to(server.url().trim_start_matches("nats://")).await;
    let prefix = url.split_once('?').unwrap().1;
    let member = open(&format!("nats://{}?{prefix}", proxy.address())).await.subscribe("group", &[KIND]).await.unwrap();
    let bus = open(&url).await;
    insist(&bus, &[event("key", 1), event("key", 2)]).await;
    let first = member.fetch(1).await.unwrap().remove(0);
    proxy.lose_answer_to(b"+ACK", 1);
    let acknowledge = async {
        assert!(matches!(member.ack(&first).await, Err(Error::Unavailable { .. })));
        assert_eq!(proxy.lost(), 1);
        assert!(matches!(member.ack(&first).await, Err(Error::Lost)));
    };
    // Meanwhile it reads on, so that it stays the reader of the partition.
    let read_on = async {
        let second = member.fetch(1).await.unwrap().remove(0);
        assert_eq!(second.event.decode::<u64>().unwrap(), 2);
        member.ack(&second).await.unwrap();
    };
    tokio::join!(timeout(Duration::from_secs(20), read_on).map(|read| read.expect("in time")), acknowledge);
    settled(&bus).await;
}

/// Meanwhile somebody else may have been given it, and have settled it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_the_lease_is_a_lost_delivery() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, member) = (open(&url).await, open(&url).await.subscribe("group", &[KIND]).await.unwrap());
    insist(&bus, &[event("key", 1)]).await;
    let delivery = member.fetch(1).await.unwrap().remove(0);
    server.pause();
    let lease = async {
        sleep(Duration::from_millis(1_500)).await;
        server.resume();
    };
    let (acknowledged, ()) = tokio::join!(member.ack(&delivery), lease);
    assert!(matches!(acknowledged, Err(Error::Lost)), "{acknowledged:?}");
}
