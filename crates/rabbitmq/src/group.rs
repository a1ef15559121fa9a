//! A group on the server: a queue with a token for each partition, two that count members, one for dead letters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, future::try_join_all};
use lapin::{
    BasicProperties, Channel, Queue,
    options::{BasicConsumeOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use messaging::{DEAD_LETTERS, Error};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::{
    catalogue::Locked,
    client::{Failure, Link, TIMEOUT, consume, limited, look, made},
    message,
    names::Names,
    stream,
    token::{Mail, Token},
};

/// Messages that may wait for the reader of a partition; what comes then is refused.
const MAILS: i64 = 1_000;
/// Where the server sends what is said to whoever asked.
const REPLIES: &str = "amq.rabbitmq.reply-to";
/// How long a reader may take to answer, and how long a token that nobody reads takes to come.
const ANSWER: Duration = Duration::from_secs(1);

/// A group, as one process knows it.
pub(crate) struct Group {
    pub(crate) link: Arc<Link>,
    pub(crate) name: String,
    /// Of the keys.
    pub(crate) partitions: u16,
}

impl Group {
    pub(crate) fn names(&self) -> &Names {
        &self.link.client.options.names
    }

    pub(crate) fn token(&self, partition: u16) -> String {
        self.names().token(&self.name, partition)
    }

    async fn is_there(&self) -> Result<bool, Failure> {
        match look(&self.link.channel().await?, &self.names().members(&self.name)).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_missing() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Makes the group, unless it is there: it begins with the oldest event.
    pub(crate) async fn ensure(&self) -> Result<(), Error> {
        if self.is_there().await? {
            return Ok(());
        }
        self.restore().await
    }

    /// Makes what is missing of the group.
    pub(crate) async fn restore(&self) -> Result<(), Error> {
        let locked = Locked::new(&self.link.client).await?;
        let made = self.make(&locked).await;
        locked.release().await;
        made
    }

    /// The queue of members comes last: where it is, all is.
    async fn make(&self, locked: &Locked<'_>) -> Result<(), Error> {
        locked.catalogue().await?;
        // Of a group that is there a queue may be silent for want of a majority, and has what it had.
        let is_new = !self.is_there().await?;
        let (names, limits) = (self.names(), &self.link.client.options.limits);
        let publisher = locked.confirming().await?;
        let queues = [
            (names.dead_letters(&self.name), limits.bounded(DEAD_LETTERS.into())),
            (names.canaries(&self.name), limits.queue()),
        ];
        for (name, arguments) in queues {
            make_queue(locked, &publisher.channel, &name, arguments, is_new).await?;
        }
        try_join_all((0..=self.partitions).map(|partition| self.make_partition(locked, partition, is_new))).await?;
        locked.add(&self.name).await?;
        make_queue(locked, &publisher.channel, &names.members(&self.name), limits.queue(), is_new).await?;
        Ok(())
    }

    /// The queue of a partition begins with a token. Each has a channel: on one, the server makes one after the other.
    async fn make_partition(&self, locked: &Locked<'_>, partition: u16, is_new: bool) -> Result<(), Error> {
        let publisher = locked.confirming().await?;
        let mut arguments = self.link.client.options.limits.bounded(MAILS);
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        let name = self.token(partition);
        let queue = make(&publisher.channel, &name, arguments).await?;
        if (queue.message_count(), queue.consumer_count()) == (0, 0) {
            let first = Mail::Token(Token::default()).write()?;
            let stored = publisher.store(&name, &first, message::persistent(&Uuid::now_v7().to_string())).await;
            if let Err(failure) = stored {
                return Err(replace(locked, &name, failure, is_new).await.into());
            }
        }
        Ok(())
    }

    /// Tells the readers of all partitions which kinds the group is given, and waits until they know, but not long for
    /// those that are not there: whoever comes finds it in the queue.
    pub(crate) async fn tell(&self, kinds: &BTreeSet<String>) -> Result<(), Error> {
        let all: Vec<u16> = (0..=self.partitions).collect();
        let said = self.ask(&all, &Mail::Kinds(kinds.clone())).await?;
        if said.len() < all.len() {
            tracing::debug!(group = self.name, readers = said.len(), "some partitions have no reader yet");
        }
        Ok(())
    }

    /// Asks the readers of partitions; returns what those said that answer in time.
    async fn ask(&self, partitions: &[u16], mail: &Mail) -> Result<BTreeMap<u16, u64>, Error> {
        let publisher = self.link.confirming().await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = publisher.channel.basic_consume(REPLIES.into(), "".into(), options, FieldTable::default());
        let (mut replies, body) = (limited(consumer).await?, mail.write()?);
        let asked = partitions.iter().map(|partition| {
            let properties = message::persistent(&Uuid::now_v7().to_string())
                .with_reply_to(REPLIES.into())
                .with_correlation_id(partition.to_string().into());
            // Who asked does not wait longer; what is to last has no end.
            let properties = match mail {
                Mail::Settled => properties.with_expiration(ANSWER.as_millis().to_string().into()),
                Mail::Token(_) | Mail::Kinds(_) => properties,
            };
            let (publisher, queue, body) = (&publisher, self.token(*partition), &body);
            async move { publisher.store(&queue, body, properties).await }
        });
        try_join_all(asked).await?;
        let (mut said, deadline) = (BTreeMap::new(), Instant::now() + ANSWER);
        while said.len() < partitions.len() {
            let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await else { break };
            said.extend(answer(&reply.map_err(Failure::from)?.properties));
        }
        Ok(said)
    }

    /// How many events wait for the group or are in its hands: what the streams had when this began, less what is settled.
    pub(crate) async fn depth(&self) -> Result<u64, Error> {
        if !self.is_there().await? {
            return Ok(0);
        }
        let mut open: Vec<u16> = (0..=self.partitions).collect();
        let streams: Vec<String> = open.iter().map(|partition| self.names().events(*partition)).collect();
        let ends = try_join_all(streams.iter().map(|stream| stream::last(&self.link, stream))).await?;
        let (mut settled, deadline) = (BTreeMap::new(), Instant::now() + TIMEOUT);
        while !open.is_empty() {
            let channel = self.link.channel().await?;
            let mut read = Vec::new();
            for partition in std::mem::take(&mut open) {
                let is_read = look(&channel, &self.token(partition)).await?.consumer_count() > 0;
                match if is_read { None } else { self.unread(partition).await? } {
                    Some(token) => drop(settled.insert(partition, token.progress().settled())),
                    None => read.push(partition),
                }
            }
            settled.extend(self.ask(&read, &Mail::Settled).await?);
            open.extend(read.into_iter().filter(|partition| !settled.contains_key(partition)));
            if !open.is_empty() && Instant::now() > deadline {
                return Err(Error::bus(format!(
                    "the readers of {} partitions of {} do not answer",
                    open.len(),
                    self.name
                )));
            }
        }
        // What only begins a stream is no event, and is not waited for.
        let waiting = |(last, settled): (u64, u64)| (last + 1).saturating_sub(settled.max(1));
        Ok(ends.into_iter().zip(settled.into_values()).map(waiting).sum())
    }

    /// The token of a partition that nobody reads; nothing where somebody does by now.
    async fn unread(&self, partition: u16) -> Result<Option<Token>, Error> {
        let channel = self.link.channel().await?;
        let queue = self.token(partition);
        let mut mailbox = consume(&channel, &queue, 0, FieldTable::default()).await?;
        let mut found: Option<Token> = None;
        while let Ok(Some(mail)) = timeout(if found.is_none() { ANSWER } else { Duration::ZERO }, mailbox.next()).await
        {
            if let Some(Mail::Token(token)) = Mail::read(&mail.map_err(Failure::from)?.data)
                && found.as_ref().is_none_or(|found| found.order() < token.order())
            {
                found = Some(token);
            }
        }
        // The token goes back with the channel.
        limited(channel.close(200, "read".into())).await?;
        Ok(found)
    }
}

/// What a reader has said: of which partition, and how much.
fn answer(properties: &BasicProperties) -> Option<(u16, u64)> {
    let partition = properties.correlation_id().as_ref()?.as_str().parse().ok()?;
    Some((partition, properties.message_id().as_ref()?.as_str().parse().ok()?))
}

/// The answer of a reader to whoever has asked.
pub(crate) fn answered(asked: &BasicProperties, settled: u64) -> Option<(String, BasicProperties)> {
    let (to, of) = (asked.reply_to().as_ref()?, asked.correlation_id().clone()?);
    let said = BasicProperties::default().with_correlation_id(of).with_message_id(settled.to_string().into());
    Some((to.to_string(), said))
}

/// Declares a queue that outlives the server; for a new group, makes sure that it answers (see [`replace`]).
async fn make_queue(
    locked: &Locked<'_>,
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
    is_new: bool,
) -> Result<(), Failure> {
    let queue = make(channel, name, arguments).await?;
    if !is_new || (queue.message_count(), queue.consumer_count()) != (0, 0) {
        return Ok(());
    }
    match limited(channel.basic_get(name.into(), BasicGetOptions::default())).await {
        Ok(None) => Ok(()),
        Ok(Some(message)) => {
            limited(message.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() })).await.map(drop)
        }
        Err(failure) => Err(replace(locked, name, failure, is_new).await),
    }
}

async fn make(channel: &Channel, name: &str, arguments: FieldTable) -> Result<Queue, Failure> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    made(channel.queue_declare(name.into(), options, arguments)).await
}

/// Deletes a queue of a new group that did not answer in time, so that the next try makes it anew; returns why this one failed.
///
/// A server that is killed while it makes a quorum queue may leave it without a leader, for good: its only Raft member has an
/// empty log and never stands for election (seen with 3.10.8). It is declared again without an error, and nothing that is
/// asked of it is ever answered.
async fn replace(locked: &Locked<'_>, name: &str, failure: Failure, is_new: bool) -> Failure {
    if !is_new || !matches!(failure, Failure::Late(_)) {
        return failure;
    }
    tracing::warn!(queue = name, "a queue does not answer: it is made anew");
    let deleted = async {
        let other = locked.confirming().await?;
        made(other.channel.queue_delete(name.into(), QueueDeleteOptions::default())).await
    };
    deleted.await.err().unwrap_or(failure)
}
