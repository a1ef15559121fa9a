//! `lapin`: confirmed messages in a durable quorum queue, with as many on their way to the consumer as ours lets.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use messaging::Event;

use super::{Raw, since};

const PREFETCH: u16 = 256;
const TIME: &str = "cloudEvents_time";

pub(crate) struct RabbitMq {
    connection: Connection,
    channel: Channel,
    queue: String,
}

impl RabbitMq {
    pub(crate) async fn open(url: &str, queue: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(queue.into(), options, arguments).await.unwrap();
        Self { connection, channel, queue: queue.to_owned() }
    }
}

#[async_trait]
impl Raw for RabbitMq {
    async fn publish(&self, event: Event) {
        let mut headers = FieldTable::default();
        for (name, value) in event.to_headers("cloudEvents_") {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(event.id.to_string().into())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let queue = self.queue.as_str().into();
        let published = self.channel.basic_publish("".into(), queue, options, &event.data, properties);
        published.await.unwrap().await.unwrap();
    }

    async fn receive(&self) -> BoxStream<'static, Duration> {
        let channel = self.connection.create_channel().await.unwrap();
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
        let (queue, options) = (self.queue.as_str().into(), BasicConsumeOptions::default());
        let messages = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.unwrap();
        messages
            .then(|message| async {
                let message = message.unwrap();
                message.acker.ack(BasicAckOptions::default()).await.unwrap();
                let headers = message.properties.headers().as_ref().unwrap();
                let Some(AMQPValue::LongString(time)) = headers.inner().get(TIME) else { panic!("no time") };
                since(std::str::from_utf8(time.as_bytes()).unwrap())
            })
            .boxed()
    }
}
