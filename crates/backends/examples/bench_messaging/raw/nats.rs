//! `async-nats`: `JetStream` with a pull consumer.

use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull, stream::Config};
use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use messaging::Event;

use super::{Raw, WINDOW, since};

pub(crate) struct Nats {
    context: jetstream::Context,
    name: String,
}

impl Nats {
    pub(crate) async fn open(url: &str, name: &str) -> Self {
        let context = jetstream::new(async_nats::connect(url).await.unwrap());
        let subjects = vec![format!("{name}.event")];
        context.create_stream(Config { name: name.to_owned(), subjects, ..Config::default() }).await.unwrap();
        Self { context, name: name.to_owned() }
    }
}

#[async_trait]
impl Raw for Nats {
    async fn publish(&self, event: Event) {
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in event.to_headers("ce-") {
            headers.insert(name, value);
        }
        headers.insert("Nats-Msg-Id", event.id.to_string());
        let subject = format!("{}.event", self.name);
        self.context.publish_with_headers(subject, headers, event.data).await.unwrap().await.unwrap();
    }

    async fn receive(&self) -> BoxStream<'static, Duration> {
        let stream = self.context.get_stream(&self.name).await.unwrap();
        let consumer = stream.create_consumer(pull::Config::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap();
        messages
            .map(|message| async {
                let message = message.unwrap();
                let delay = since(message.headers.as_ref().unwrap().get("ce-time").unwrap().as_str());
                // As ours: an acknowledgement that is lost is an event that comes again.
                message.double_ack().await.unwrap();
                delay
            })
            .buffer_unordered(WINDOW)
            .boxed()
    }
}
