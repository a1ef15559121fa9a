//! What whoever takes a partition over passes, and what it does not.

use std::{collections::BTreeSet, time::Duration};

use futures::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use messaging::{Bus as _, Event};
use testkit::servers::RabbitMq;

use super::support::{event, open};

/// More than a reader takes at a time.
const QUESTIONS: usize = 200;

/// Asks the readers of a group how much is settled, so that what is said to them afterwards stands behind all that.
async fn ask(channel: &Channel, prefix: &str) {
    for partition in 0..=3 {
        for _ in 0..QUESTIONS {
            let (queue, options) = (format!("{prefix}.group~{partition}"), BasicPublishOptions::default());
            let asked = channel.basic_publish(
                "".into(),
                queue.as_str().into(),
                options,
                b"\"settled\"",
                BasicProperties::default(),
            );
            asked.await.unwrap().await.unwrap();
        }
    }
}

/// A member with a kind that is new to its group is given what is there of it, however much the readers have to answer first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_passes_nothing_before_it_knows_the_kinds_of_its_group() {
    let Some(server) = RabbitMq::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url);
    bus.subscribe("group", &["thing.other.v1"]).await.unwrap().close().await;
    let events: Vec<Event> = (0..30).map(|number| event(number, number)).collect();
    bus.publish(&events).await.unwrap();
    let (address, prefix) = (url.split('?').next().unwrap(), url.split("prefix=").nth(1).unwrap());
    let connection = Connection::connect(address, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    ask(&channel, prefix).await;

    let member = bus.subscribe("group", &["thing.other.v1", "thing.happened.v1"]).await.unwrap();
    let mut given = BTreeSet::new();
    while given.len() < events.len() {
        let deliveries = tokio::time::timeout(Duration::from_secs(30), member.fetch(32)).await;
        for delivery in deliveries.unwrap_or_else(|_| panic!("only {given:?} came")).unwrap() {
            member.ack(&delivery).await.unwrap();
            given.insert(delivery.event.decode::<u64>().unwrap());
        }
    }
}

/// Somebody has published to the queue that says what there is, and to the streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_holds_up_nothing() {
    let Some(server) = RabbitMq::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url);
    bus.publish(&[event("key", 1)]).await.unwrap();
    let (address, prefix) = (url.split('?').next().unwrap(), url.split("prefix=").nth(1).unwrap());
    let connection = Connection::connect(address, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let streams = (0..=3).map(|partition| format!("{prefix}.events.{partition}"));
    for queue in streams.chain([format!("{prefix}.catalogue")]) {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let published = channel.basic_publish("".into(), queue.as_str().into(), options, b"not ours", properties);
        published.await.unwrap().await.unwrap();
    }
    bus.publish(&[event("key", 2)]).await.unwrap();
    // Whoever comes now reads what there is, and adds a group.
    let member = open(&url).subscribe("group", &["thing.happened.v1"]).await.unwrap();
    for expected in [1, 2] {
        let delivered = tokio::time::timeout(Duration::from_secs(30), member.fetch(1)).await;
        let delivery = delivered.unwrap().unwrap().remove(0);
        assert_eq!(delivery.event.decode::<u64>().unwrap(), expected);
        member.ack(&delivery).await.unwrap();
    }
}

/// Events of a partition that are settled above one that is not.
const SETTLED: u64 = 2_000;

/// The mark passes what the last member had settled while the next one still reads it: that is no other log, and nothing of
/// it comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_last_member_settled_does_not_come_again() {
    let Some(server) = RabbitMq::shared().await else { return };
    let bus = rabbitmq::Bus::open(&format!("{}&partitions=1", server.fresh()), clock::system()).unwrap();
    let member = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    bus.publish(&(0..=SETTLED).map(|number| event(number, number)).collect::<Vec<_>>()).await.unwrap();
    let left = member.fetch(1).await.unwrap().remove(0);
    let mut settled = 0;
    while settled < SETTLED {
        let deliveries = member.fetch(256).await.unwrap();
        settled += deliveries.len() as u64;
        try_join_all(deliveries.iter().map(|delivery| member.ack(delivery))).await.unwrap();
    }
    member.release(&left).await.unwrap();
    member.close().await;

    let next = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    let delivery = next.fetch(1).await.unwrap().remove(0);
    assert_eq!(delivery.event.id, left.event.id);
    next.ack(&delivery).await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(2), next.fetch(256)).await;
    assert!(again.is_err(), "{} events come again", again.unwrap().unwrap().len());
}
