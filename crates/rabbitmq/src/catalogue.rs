//! What there is on the server, and the one who may change it: the streams of the events and the groups.
//!
//! AMQP lists no queues, so one message says what there is. It is read and replaced by whoever has declared an exclusive
//! queue, which ends with its connection.

use std::{collections::BTreeSet, time::Duration};

use futures::future::try_join_all;
use lapin::{
    Channel, Connection,
    options::{BasicAckOptions, BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use messaging::Error;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    client::{Client, Failure, Publisher, TIMEOUT, close, declare, limited, look, table},
    message,
    options::Limits,
    stream,
};

/// How often whoever waits for the lock asks for it.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a part of a stream: only whole parts are forgotten.
const SEGMENT: i64 = 50_000_000;
/// How often a message may come back: often, and not the 20 times of 4.x, after which it would be dropped.
const DELIVERIES: i64 = 1_000_000_000;

/// What there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    /// Tells this log from another one that was made in its place.
    pub(crate) log: u64,
    /// Of the keys.
    pub(crate) partitions: u16,
    pub(crate) groups: BTreeSet<String>,
}

/// The right to change what there is, for as long as this lives.
pub(crate) struct Locked<'a> {
    pub(crate) client: &'a Client,
    connection: std::sync::Arc<Connection>,
}

impl<'a> Locked<'a> {
    /// Waits for whoever has it.
    pub(crate) async fn new(client: &'a Client) -> Result<Self, Failure> {
        let connection = std::sync::Arc::new(client.connect("lock").await?);
        let (options, deadline) =
            (QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() }, Instant::now() + 2 * TIMEOUT);
        loop {
            let channel = limited(connection.create_channel()).await?;
            let name = client.options.names.lock();
            match limited(channel.queue_declare(name.as_str().into(), options, FieldTable::default())).await {
                Ok(_) => return Ok(Self { client, connection }),
                Err(failure) if failure.is_locked() && Instant::now() < deadline => sleep(PAUSE).await,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A new channel on which the server confirms what it has stored.
    pub(crate) async fn confirming(&self) -> Result<Publisher, Failure> {
        let channel = limited(self.connection.create_channel()).await?;
        limited(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Publisher { connection: std::sync::Arc::clone(&self.connection), channel })
    }

    /// Lets others have it.
    pub(crate) async fn release(self) {
        close(&self.connection).await;
    }

    async fn has(&self, queue: &str) -> Result<bool, Failure> {
        let channel = limited(self.connection.create_channel()).await?;
        match look(&channel, queue).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_missing() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// What there is; streams that are missing are declared.
    pub(crate) async fn catalogue(&self) -> Result<Catalogue, Error> {
        let name = self.client.options.names.catalogue();
        let found = if self.has(&name).await? { self.read(&name).await? } else { None };
        let (names, limits) = (&self.client.options.names, &self.client.options.limits);
        let is_new = found.is_none();
        let catalogue = found.unwrap_or_else(|| {
            let log = u64::from_be_bytes(*Uuid::new_v4().as_bytes().first_chunk().unwrap_or(&[0; 8]));
            Catalogue { log, partitions: limits.partitions, groups: BTreeSet::new() }
        });
        let streams = (0..=catalogue.partitions).map(|partition| self.make_stream(names.events(partition), is_new));
        try_join_all(streams).await?;
        if is_new {
            let publisher = self.confirming().await?;
            declare(&publisher.channel, [(name, limits.queue())]).await?;
            self.write(&publisher, &catalogue).await?;
        }
        Ok(catalogue)
    }

    /// Makes the stream of a partition, unless it is there. A server that has just started may say that it is not.
    async fn make_stream(&self, stream: String, is_first: bool) -> Result<(), Error> {
        if self.has(&stream).await? {
            return Ok(());
        }
        let (publisher, id) = (self.confirming().await?, Uuid::now_v7().to_string());
        declare(&publisher.channel, [(stream.clone(), self.client.options.limits.stream())]).await?;
        publisher.store(&stream, b"", message::begin(&id)).await?;
        if !is_first && stream::first(&publisher.channel, &stream).await?.id == id {
            tracing::error!(stream, "the stream was gone, and with it what no group had read; it was declared again");
        }
        Ok(())
    }

    async fn write(&self, publisher: &Publisher, catalogue: &Catalogue) -> Result<(), Error> {
        let body = serde_json::to_vec(catalogue).map_err(Error::Encode)?;
        let id = Uuid::now_v7().to_string();
        Ok(publisher.store(&self.client.options.names.catalogue(), &body, message::persistent(&id)).await?)
    }

    /// Reads the message; it goes back with the channel.
    async fn read(&self, name: &str) -> Result<Option<Catalogue>, Error> {
        let channel = limited(self.connection.create_channel()).await?;
        let found = take(&channel, name).await?.map(|(catalogue, _)| catalogue);
        limited(channel.close(200, "read".into())).await?;
        Ok(found)
    }

    /// Adds a group.
    pub(crate) async fn add(&self, group: &str) -> Result<(), Error> {
        let publisher = self.confirming().await?;
        let Some((mut catalogue, tag)) = take(&publisher.channel, &self.client.options.names.catalogue()).await? else {
            return Err(Failure::NoQueue(self.client.options.names.catalogue()).into());
        };
        if catalogue.groups.insert(group.to_owned()) {
            self.write(&publisher, &catalogue).await?;
            let all = BasicAckOptions { multiple: true };
            limited(publisher.channel.basic_ack(tag, all)).await?;
        }
        Ok(limited(publisher.channel.close(200, "added".into())).await?)
    }
}

/// Takes what is in the queue: two messages where somebody died while replacing one. What somebody else has put there is left
/// out; where there is nothing else, nobody knows how many partitions there are.
async fn take(channel: &Channel, queue: &str) -> Result<Option<(Catalogue, u64)>, Error> {
    let (mut found, mut unreadable): (Option<(Catalogue, u64)>, _) = (None, None);
    while let Some(message) = limited(channel.basic_get(queue.into(), BasicGetOptions::default())).await? {
        let mut read: Catalogue = match serde_json::from_slice(&message.data) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(queue, %error, "a message in the catalogue is none of ours: it is left out");
                unreadable = Some(error);
                continue;
            }
        };
        if let Some((other, _)) = found {
            read.groups.extend(other.groups);
        }
        found = Some((read, message.delivery_tag));
    }
    match unreadable.filter(|_| found.is_none()) {
        Some(error) => Err(Error::Malformed(format!("the catalogue in {queue}: {error}"))),
        None => Ok(found),
    }
}

impl Limits {
    /// What a stream is declared with.
    fn stream(&self) -> FieldTable {
        let bytes = self.max_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        let segment = bytes.map_or(SEGMENT, |bytes| SEGMENT.min(bytes));
        let mut arguments = table([
            ("x-queue-type", AMQPValue::LongString("stream".into())),
            ("x-max-age", AMQPValue::LongString(format!("{}s", self.max_age.as_secs()).into())),
            ("x-stream-max-segment-size-bytes", AMQPValue::LongLongInt(segment)),
            ("x-initial-cluster-size", AMQPValue::LongInt(i32::from(self.replicas))),
        ]);
        if let Some(bytes) = bytes {
            arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        }
        arguments
    }

    /// What a queue is declared with.
    pub(crate) fn queue(&self) -> FieldTable {
        table([
            ("x-queue-type", AMQPValue::LongString("quorum".into())),
            ("x-quorum-initial-group-size", AMQPValue::LongInt(i32::from(self.replicas))),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERIES)),
        ])
    }

    /// A queue that takes so many messages and then refuses.
    pub(crate) fn bounded(&self, messages: i64) -> FieldTable {
        let mut arguments = self.queue();
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(messages));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        arguments
    }
}
