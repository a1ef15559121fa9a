//! Real servers: orders in MongoDB, events in JetStream.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_nats::jetstream::{
    self, Message,
    consumer::{DeliverPolicy, pull::OrderedConfig},
};
use e2e::Cluster;
use futures::StreamExt as _;
use messaging::Bus;
use mongodb::bson::{Document, doc};
use servers::Server;

use super::Told;

/// Every consumer group there is.
const GROUPS: [&str; 4] = ["user", "user-copies", "order", "payment"];

pub(crate) struct Servers {
    orders: mongodb::Collection<Document>,
    bus: Arc<dyn Bus>,
    stream: jetstream::Context,
}

impl Servers {
    /// `None` where the cluster runs on embedded defaults.
    pub(super) async fn open(cluster: &Cluster) -> Result<Option<Self>> {
        let (Some(mongo), Some(nats)) = (cluster.server_url(Server::MongoDb)?, cluster.server_url(Server::Nats)?)
        else {
            return Ok(None);
        };
        let orders = mongodb::connect(&format!("{mongo}/order"), "e2e").await?.collection("orders");
        let (login, address) = nats.trim_start_matches("nats://").split_once('@').context("a login")?;
        let (user, password) = login.split_once(':').context("a password")?;
        let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        let stream = jetstream::new(options.connect(address).await?);
        Ok(Some(Self { orders, bus: backends::bus(&messaging::Config::new(&nats), clock::system()).await?, stream }))
    }

    pub(super) async fn orders(&self) -> Result<u64> {
        Ok(self.orders.count_documents(doc! {}).await?)
    }

    pub(super) async fn waiting_and_dead(&self) -> Result<(u64, u64)> {
        let mut waiting = 0;
        for group in GROUPS {
            waiting += self.bus.depth(group).await?;
        }
        Ok((waiting, self.bus.dead_letters(None, 100).await?.len() as u64))
    }

    /// Stores each event again, under another id for the server and the same for everybody else.
    pub(super) async fn redeliver(&self) -> Result<u64> {
        let messages = self.messages().await?;
        let again = messages.len() as u64;
        let acks = futures::stream::iter(messages).map(async |message| {
            let mut headers = message.headers.clone().unwrap_or_default();
            headers.insert("Nats-Msg-Id", uuid::Uuid::new_v4().to_string());
            let sent = self.stream.publish_with_headers(message.subject.clone(), headers, message.payload.clone());
            anyhow::Ok(sent.await?.await?)
        });
        // One after the other: as a bus that repeats, not one that forgets the order.
        let acks: Vec<_> = acks.buffered(1).collect().await;
        acks.into_iter().try_for_each(|ack| ack.map(drop))?;
        Ok(again)
    }

    pub(super) async fn events(&self) -> Result<Vec<Told>> {
        let read = |message: Message| {
            let kind = message.headers.as_ref().and_then(|headers| headers.get("ce-type")).context("no type")?;
            Ok((kind.as_str().to_owned(), serde_json::from_slice(&message.payload)?))
        };
        self.messages().await?.into_iter().map(read).collect()
    }

    async fn messages(&self) -> Result<Vec<Message>> {
        let stream = self.stream.get_stream("trireme-events").await?;
        let all = OrderedConfig {
            filter_subject: "trireme.event.>".to_owned(),
            deliver_policy: DeliverPolicy::All,
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(all).await?;
        let count = usize::try_from(consumer.cached_info().num_pending)?;
        let messages: Vec<_> = consumer.messages().await?.take(count).collect().await;
        messages.into_iter().map(|message| Ok(message?)).collect()
    }
}
