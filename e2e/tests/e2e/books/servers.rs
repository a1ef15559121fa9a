//! Real servers: orders in MongoDB, events on the bus that runs.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use async_nats::jetstream::{
    self, Message,
    consumer::{DeliverPolicy, pull::OrderedConfig},
};
use e2e::Cluster;
use futures::StreamExt as _;
use messaging::{Bus, Event, Tailed};
use mongodb::bson::{Document, doc};
use servers::Server;
use tokio::time::timeout;

use super::Told;

/// Every consumer group there is.
const GROUPS: [&str; 5] = ["user", "user-copies", "user-mail", "order", "payment"];

/// How long the first event may take, and after how long without one there are no more.
const FIRST: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(2);

pub(crate) struct Servers {
    orders: mongodb::Collection<Document>,
    bus: Arc<dyn Bus>,
    /// Where the bus is NATS: it recognises what is published again.
    stream: Option<jetstream::Context>,
}

impl Servers {
    /// `None` where the cluster runs on embedded defaults.
    pub(super) async fn open(cluster: &Cluster) -> Result<Option<Self>> {
        let Some(mongo) = cluster.server_url(Server::MongoDb)? else { return Ok(None) };
        let orders = mongodb::connect(&format!("{mongo}/order"), "e2e").await?.collection("orders");
        let url = cluster.bus_url()?;
        let stream = if url.starts_with("nats:") { Some(jetstream(&url).await?) } else { None };
        let bus = backends::bus(&messaging::Config::new(&url), clock::system()).await?;
        Ok(Some(Self { orders, bus, stream }))
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
        let Some(stream) = &self.stream else {
            let events = self.read().await?;
            self.bus.publish(&events).await?;
            return Ok(events.len() as u64);
        };
        let messages = messages(stream).await?;
        let again = messages.len() as u64;
        let acks = futures::stream::iter(messages).map(async |message| {
            let mut headers = message.headers.clone().unwrap_or_default();
            headers.insert("Nats-Msg-Id", uuid::Uuid::new_v4().to_string());
            let sent = stream.publish_with_headers(message.subject.clone(), headers, message.payload.clone());
            anyhow::Ok(sent.await?.await?)
        });
        // One after the other: as a bus that repeats, not one that forgets the order.
        let acks: Vec<_> = acks.buffered(1).collect().await;
        acks.into_iter().try_for_each(|ack| ack.map(drop))?;
        Ok(again)
    }

    pub(super) async fn events(&self) -> Result<Vec<Told>> {
        let told = |event: Event| anyhow::Ok((event.kind.clone(), event.decode()?));
        self.read().await?.into_iter().map(told).collect()
    }

    /// All events, until nothing comes any more.
    async fn read(&self) -> Result<Vec<Event>> {
        let schemas = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/events"))?;
        let kinds: Vec<String> = schemas
            .map(|schema| Ok(schema?.file_name().to_string_lossy().trim_end_matches(".json").to_owned()))
            .collect::<Result<_>>()?;
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let (mut tail, mut events) = (self.bus.tail(&kinds, u32::MAX.into()).await?, Vec::new());
        while let Ok(next) = timeout(if events.is_empty() { FIRST } else { QUIET }, tail.next()).await {
            match next? {
                Tailed::Event(_, event) => events.push(*event),
                Tailed::Gap => anyhow::bail!("the log has a gap"),
            }
        }
        Ok(events)
    }
}

async fn jetstream(url: &str) -> Result<jetstream::Context> {
    let (login, address) = url.trim_start_matches("nats://").split_once('@').context("a login")?;
    let (user, password) = login.split_once(':').context("a password")?;
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok(jetstream::new(options.connect(address).await?))
}

async fn messages(stream: &jetstream::Context) -> Result<Vec<Message>> {
    let stream = stream.get_stream("trireme-events").await?;
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
