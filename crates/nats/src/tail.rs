//! Reading the stream past all groups, by an ephemeral consumer that the server forgets when nobody asks it any more.
//!
//! It acknowledges nothing. What the server has sent and we have not received shows in the consumer's own numbers: then, and
//! whenever it does not answer, another one is made that begins after what was read.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, pull},
    stream::Stream,
};
use async_trait::async_trait;
use futures::StreamExt as _;
use messaging::{Cursor, Error, Event, Position, Tailed};

use super::{connection::Connection, group, message, names::SYSTEM};

/// The server forgets a consumer that nobody has asked for so long.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Events that are asked for at a time, and for how long.
const BATCH: usize = 256;
const EXPIRES: Duration = Duration::from_secs(20);
/// A server that says nothing for twice as long is gone.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A reader of the stream.
pub(crate) struct Tail {
    connection: Arc<Connection>,
    kinds: Vec<String>,
    back: u64,
    cursor: Cursor,
    messages: Option<Messages>,
}

/// What an ephemeral consumer sends.
struct Messages {
    stream: pull::Stream,
    /// How many it has sent.
    received: u64,
}

/// From where to where a stream goes.
struct Extent {
    log: u64,
    /// The last sequence before the first that is kept.
    before: u64,
    last: u64,
}

impl Extent {
    fn of(stream: &Stream) -> Self {
        let info = stream.cached_info();
        // A stream that was deleted and made again is another one. Nanoseconds fit until the year 2554.
        let log = u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or_default();
        Self { log, before: info.state.first_sequence.saturating_sub(1), last: info.state.last_sequence }
    }

    /// Where a reader begins that wants so many before the end.
    fn back(&self, back: u64) -> Cursor {
        Cursor::new(self.log, [self.last.saturating_sub(back).max(self.before)])
    }
}

impl Tail {
    pub(crate) async fn open(connection: Arc<Connection>, kinds: &[&str], back: u64) -> Result<Self, Error> {
        let kinds = kinds.iter().map(|kind| connection.names().in_any_partition(kind)).collect();
        let cursor = Extent::of(&find(&connection).await?).back(back);
        let mut tail = Self { connection, kinds, back, cursor, messages: None };
        tail.connect().await?;
        Ok(tail)
    }

    /// Makes a consumer that begins after what was read; says whether the stream has lost what came next.
    async fn connect(&mut self) -> Result<bool, Error> {
        let stream = find(&self.connection).await?;
        let (extent, read) = (Extent::of(&stream), self.cursor.offset(0));
        let other = extent.log != self.cursor.log();
        let shorter = !other && read > extent.last && group::is_shorter(&stream, read).await?;
        let gap = other || shorter || extent.before > read;
        let cursor = if gap { extent.back(self.back) } else { self.cursor.clone() };
        let messages = self.consume(&stream, cursor.offset(0) + 1).await?;
        if gap {
            tracing::error!(
                read,
                first_sequence = extent.before + 1,
                last_sequence = extent.last,
                other_log = other,
                "events are missing from the stream"
            );
        }
        (self.cursor, self.messages) = (cursor, Some(messages));
        Ok(gap)
    }

    async fn consume(&self, stream: &Stream, start_sequence: u64) -> Result<Messages, Error> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            filter_subjects: self.kinds.clone(),
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(Error::bus)?;
        let asked = consumer.stream().max_messages_per_batch(BATCH).expires(EXPIRES).heartbeat(HEARTBEAT);
        Ok(Messages { stream: asked.messages().await.map_err(Error::bus)?, received: 0 })
    }

    /// The next message, unless the consumer is gone or one was lost on its way.
    async fn receive(&mut self) -> Option<(Position, Result<Event, Error>)> {
        let messages = self.messages.as_mut()?;
        let message = match messages.stream.next().await? {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "an ephemeral consumer is made anew");
                return None;
            }
        };
        messages.received += 1;
        let (offset, sent) = numbers(&message)?;
        let position = Position { partition: 0, offset };
        (sent == messages.received)
            .then(|| (position, message::event(message.headers.as_ref(), message.payload.clone())))
    }
}

/// The stream as it is now.
async fn find(connection: &Connection) -> Result<Stream, Error> {
    connection.streams.forget().await;
    Ok(connection.streams.get().await?.events.clone())
}

/// Where a message stands in the stream, and how many its consumer had sent with it.
fn numbers(message: &jetstream::Message) -> Option<(u64, u64)> {
    message.info().ok().map(|info| (info.stream_sequence, info.consumer_sequence))
}

#[async_trait]
impl messaging::Tail for Tail {
    async fn next(&mut self) -> Result<Tailed, Error> {
        loop {
            if self.messages.is_none() && self.connect().await? {
                return Ok(Tailed::Gap);
            }
            match self.receive().await {
                Some((position, event)) => {
                    self.cursor.advance(position);
                    match event {
                        Ok(event) => return Ok(Tailed::Event(position, Box::new(event))),
                        Err(error) => messaging::unreadable(SYSTEM, position, &error),
                    }
                }
                None => self.messages = None,
            }
        }
    }

    fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}
