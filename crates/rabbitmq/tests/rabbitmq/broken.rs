//! The broker is paused for long, short of memory, closes connections and loses a stream, under publishers and consumers.

use std::{sync::Arc, time::Duration};

use messaging::{
    Event,
    suite::applying::{Inbox, Member, insist},
};
use testkit::servers::RabbitMq;
use tokio::time::sleep;

use super::support::{event, open, said};

const KEYS: u64 = 5;

/// Publishes to two members while something is done to the broker: each event is applied once, in order.
async fn nothing_is_lost(events: u64, broken: impl AsyncFn(&RabbitMq, &str)) {
    let Some(server) = RabbitMq::alone().await else { return };
    let url = server.fresh();
    let inbox = Arc::new(Inbox::default());
    let members = [Member::start(open(&url), &inbox), Member::start(open(&url), &inbox)];
    let bus = open(&url);
    let publishing = async {
        for number in 0..events {
            insist(&bus, &(0..KEYS).map(|key| event(key, number)).collect::<Vec<Event>>()).await;
            sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::join!(publishing, broken(&server, &url));
    inbox.settled(&bus, KEYS * events).await;
    for member in members {
        member.stop().await;
    }
    let expected: Vec<u64> = (0..events).collect();
    let mut seen = inbox.applied();
    seen.remove("more"); // what was refused may have been stored afterwards
    assert_eq!(seen.len() as u64, KEYS);
    assert!(seen.values().all(|numbers| *numbers == expected), "{seen:?}");
}

/// Every stream loses its leader while it has messages that are not stored yet: the server sends the new one what it has
/// not confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_streams_get_other_leaders() {
    const CHANGE: &str = "[spawn(fun() -> P = amqqueue:get_pid(Q), erlang:suspend_process(P), timer:sleep(1000), \
        exit(P, kill) end) || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_stream_queue].";
    nothing_is_lost(120, async |server, _| {
        sleep(Duration::from_millis(500)).await;
        server.control(&["eval", CHANGE]);
    })
    .await;
}

/// Longer than anybody waits for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_the_broker_is_paused() {
    nothing_is_lost(60, async |server, _| {
        for pause in [1, 7] {
            sleep(Duration::from_millis(700)).await;
            server.pause();
            sleep(Duration::from_secs(pause)).await;
            server.resume();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_out_of_order_when_connections_are_closed() {
    nothing_is_lost(60, async |server, _| {
        for _ in 0..3 {
            server.control(&["close_all_connections", "for a test"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_is_told_and_nothing_is_lost() {
    nothing_is_lost(40, async |server, url| {
        sleep(Duration::from_millis(500)).await;
        server.control(&["set_vm_memory_high_watermark", "0"]);
        let bus = open(url);
        let one = event("more", 0);
        let refused = said(&bus.publish(std::slice::from_ref(&one)).await.unwrap_err());
        assert!(refused.contains("short of memory or disk space"), "{refused}");
        server.control(&["set_vm_memory_high_watermark", "0.6"]);
    })
    .await;
}

/// The group has read further than a new log goes: it reads that from its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_gone_is_declared_again_and_read_from_its_start() {
    let Some(server) = RabbitMq::alone().await else { return };
    let url = server.fresh();
    let (bus, inbox) = (open(&url), Arc::new(Inbox::default()));
    let member = Member::start(open(&url), &inbox);
    for number in 0..5 {
        insist(&bus, &[event("key", number)]).await;
    }
    inbox.settled(&bus, 5).await;
    let prefix = url.split("prefix=").nth(1).unwrap();
    for partition in 0..3 {
        server.control(&["delete_queue", &format!("{prefix}.events.{partition}")]);
    }
    for number in 5..7 {
        insist(&bus, &[event("key", number)]).await;
    }
    testkit::eventually!(within Duration::from_secs(30), inbox.applied().get("key").is_some_and(|seen| seen.len() == 7));
    member.stop().await;
}
