//! What others put into our topics.

use std::time::Duration;

use messaging::{Bus as _, Event};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use testkit::servers::Kafka;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_holds_up_nothing() {
    let Some(server) = Kafka::shared().await else { return };
    let url = server.fresh();
    let bus = kafka::Bus::open(&url, true, clock::system()).unwrap();
    let event = |number: u64| Event::new("thing.happened.v1", "test", "key", clock::system().now(), number).unwrap();
    bus.publish(&[event(1)]).await.unwrap();
    let (address, prefix) = (url.split('?').next().unwrap(), url.split("prefix=").nth(1).unwrap());
    let prefix = prefix.split('&').next().unwrap();
    let (address, topic) = (address.trim_start_matches("kafka://"), format!("{prefix}.events"));
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
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
