//! Answers of the server are lost, or late.

use std::time::Duration;

use futures::FutureExt as _;
use messaging::Error;
use testkit::{Proxy, servers::Nats};
use tokio::time::{sleep, timeout};

use super::support::{KIND, event, insist, open, settled};

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
