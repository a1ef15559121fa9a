//! `rdkafka`: an idempotent producer, and a consumer that commits as the library does by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use messaging::Event;
use rdkafka::{
    ClientConfig, Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer as _, StreamConsumer},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use super::{Raw, since};

/// As ours has.
const PARTITIONS: i32 = 16;

pub(crate) struct Kafka {
    client: ClientConfig,
    producer: FutureProducer,
    topic: String,
}

impl Kafka {
    pub(crate) async fn open(url: &str, topic: &str) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", url.trim_start_matches("kafka://"));
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        admin.create_topics(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        let mut producer = client.clone();
        producer.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "1");
        Self { client, producer: producer.create().unwrap(), topic: topic.to_owned() }
    }
}

#[async_trait]
impl Raw for Kafka {
    async fn publish(&self, event: Event) {
        let headers = event
            .to_headers("ce_")
            .into_iter()
            .fold(OwnedHeaders::new(), |all, (name, value)| all.insert(Header { key: &name, value: Some(&value) }));
        let record = FutureRecord::to(&self.topic).key(&event.key).payload(&event.data[..]).headers(headers);
        self.producer.send(record, Duration::from_secs(30)).await.unwrap();
    }

    async fn receive(&self) -> BoxStream<'static, Duration> {
        let mut config = self.client.clone();
        config.set("group.id", uuid::Uuid::new_v4().to_string()).set("auto.offset.reset", "earliest");
        let consumer: Arc<StreamConsumer> = Arc::new(config.create().unwrap());
        consumer.subscribe(&[&self.topic]).unwrap();
        stream::unfold(consumer, |consumer| async {
            let age = {
                let message = consumer.recv().await.unwrap();
                let time = message.headers().unwrap().iter().find(|header| header.key == "ce_time").unwrap();
                since(std::str::from_utf8(time.value.unwrap()).unwrap())
            };
            Some((age, consumer))
        })
        .boxed()
    }
}
