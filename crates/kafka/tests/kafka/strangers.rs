//! What others put into our topics.

use std::time::Duration;

use messaging::{Bus as _, Cause, Event, Reason};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use testkit::servers::Kafka;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// A producer of the client library, and what the bus' topics begin with.
fn stranger(url: &str) -> (BaseProducer, String) {
    let (address, prefix) = (url.split('?').next().unwrap(), url.split("prefix=").nth(1).unwrap());
    let address = address.trim_start_matches("kafka://");
    let producer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    (producer, prefix.split('&').next().unwrap().to_owned())
}

fn event(number: u64) -> Event {
    Event::new("thing.happened.v1", "test", "key", clock::system().now(), number).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_holds_up_nothing() {
    let Some(server) = Kafka::shared().await else { return };
    let url = server.fresh();
    let bus = kafka::Bus::open(&url, true, clock::system()).unwrap();
    bus.publish(&[event(1)]).await.unwrap();
    let (producer, prefix) = stranger(&url);
    let topic = format!("{prefix}.events");
    let partitions = producer.client().fetch_metadata(Some(&topic), DEADLINE).unwrap().topics()[0].partitions().len();
    assert!(partitions > 0, "{topic}");
    for partition in 0..i32::try_from(partitions).unwrap() {
        producer.send(BaseRecord::to(&topic).partition(partition).key("key").payload("not ours")).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    bus.publish(&[event(2)]).await.unwrap();
    let member = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    for expected in [1, 2] {
        let delivery = timeout(DEADLINE, member.fetch(1)).await.unwrap().unwrap().remove(0);
        assert_eq!(delivery.event.decode::<u64>().unwrap(), expected);
        member.ack(&delivery).await.unwrap();
    }
}

/// Dead letters are bounded: where there is no room for another, what fails is neither given up nor lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_room_for_is_tried_on() {
    let Some(server) = Kafka::shared().await else { return };
    let url = server.fresh();
    let bus = kafka::Bus::open(&url, true, clock::system()).unwrap();
    let member = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    let (producer, prefix) = stranger(&url);
    let topic = format!("{prefix}.dead");
    // As many as there may be, but one.
    let keys: Vec<String> = (1..messaging::DEAD_LETTERS).map(|n| format!("group/{n}/0")).collect();
    for key in &keys {
        producer.send(BaseRecord::to(&topic).partition(0).key(key).payload("{}")).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    bus.publish(&[event(1), event(2)]).await.unwrap();
    let reason = || Reason { cause: Cause::Permanent, detail: "bad".to_owned() };
    let next = async || timeout(DEADLINE, member.fetch(1)).await.unwrap().unwrap().remove(0);
    member.dead_letter(&next().await, reason()).await.unwrap();
    let second = next().await;
    let refused = member.dead_letter(&second, reason()).await.unwrap_err();
    assert!(matches!(refused, messaging::Error::NoRoom), "{refused}");
    // Those that were replayed are without a value.
    producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key(&keys[0])).unwrap();
    producer.flush(DEADLINE).unwrap();
    assert_eq!(bus.count_dead_letters("group").await.unwrap(), u64::from(messaging::DEAD_LETTERS) - 1);
    member.dead_letter(&second, reason()).await.unwrap();
}
