//! Reading the streams past all groups. Nothing of a reader is on the server.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    future::try_join_all,
    stream::{BoxStream, SelectAll},
};
use lapin::{Channel, message::Delivery};
use messaging::{Cursor, Error, Position, Tailed};

use crate::{
    catalogue::{Catalogue, Locked},
    client::{Failure, Link},
    memory::Memory,
    message::Received,
    names::SYSTEM,
    stream,
};

/// What all streams send, with the partition.
type Messages = SelectAll<BoxStream<'static, (u16, Option<lapin::Result<Delivery>>)>>;

/// A reader of the streams.
pub(crate) struct Tail {
    link: Arc<Link>,
    kinds: Vec<String>,
    back: u64,
    cursor: Cursor,
    /// By partition.
    memories: Vec<Memory>,
    messages: Option<(Channel, Messages)>,
}

impl Tail {
    pub(crate) async fn open(link: Arc<Link>, kinds: &[&str], back: u64) -> Result<Self, Error> {
        let catalogue = catalogue(&link).await?;
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let cursor = begin(&link, &catalogue, back).await?;
        let memories = (0..=catalogue.partitions).map(|_| Memory::default()).collect();
        let mut tail = Self { link, kinds, back, cursor, memories, messages: None };
        tail.consume(catalogue.partitions).await?;
        Ok(tail)
    }

    /// Begins to read after what was read; says whether that log is another one by now.
    async fn connect(&mut self) -> Result<bool, Error> {
        let catalogue = catalogue(&self.link).await?;
        let other = catalogue.log != self.cursor.log();
        if other {
            self.restart(&catalogue).await?;
        }
        self.consume(catalogue.partitions).await?;
        Ok(other)
    }

    async fn restart(&mut self, catalogue: &Catalogue) -> Result<(), Error> {
        self.cursor = begin(&self.link, catalogue, self.back).await?;
        self.memories = (0..=catalogue.partitions).map(|_| Memory::default()).collect();
        Ok(())
    }

    async fn consume(&mut self, partitions: u16) -> Result<(), Error> {
        let channel = self.link.channel().await?;
        let mut messages = SelectAll::new();
        for partition in 0..=partitions {
            let name = self.link.client.options.names.events(partition);
            let from = self.cursor.offset(usize::from(partition));
            let consumer = stream::read(&channel, &name, from).await?;
            // An end is news, too.
            let ended = futures::stream::once(async { None });
            messages.push(consumer.map(Some).chain(ended).map(move |message| (partition, message)).boxed());
        }
        self.messages = Some((channel, messages));
        Ok(())
    }

    /// The next message; nothing where a stream ended.
    async fn receive(&mut self) -> Option<(u16, Received)> {
        let (_, messages) = self.messages.as_mut()?;
        loop {
            let (partition, message) = messages.next().await?;
            let message = message?.inspect_err(|error| tracing::debug!(%error, "a stream is read anew")).ok()?;
            if let Some(received) = stream::take(&message) {
                return Some((partition, received));
            }
        }
    }

    /// What one message is to this reader.
    fn read(&mut self, partition: u16, received: Received) -> Option<Tailed> {
        let partition = usize::from(partition);
        let (expected, position) = (self.cursor.offset(partition), Position { partition, offset: received.offset + 1 });
        self.cursor.advance(position);
        if received.offset != expected && expected > 1 {
            tracing::error!(
                partition,
                expected,
                offset = received.offset,
                "events are missing from the stream, or it is another one"
            );
            self.memories[partition] = Memory::default();
            return Some(Tailed::Gap);
        }
        let memory = self.memories.get_mut(partition)?;
        let is_new = memory.remember(received.offset, &received.id);
        memory.forget_before(received.offset);
        match received.event? {
            Ok(event) if is_new && received.group.is_none() && self.kinds.contains(&event.kind) => {
                Some(Tailed::Event(position, Box::new(event)))
            }
            Ok(_) => None,
            Err(error) => {
                messaging::unreadable(SYSTEM, Position { partition, offset: received.offset }, &error);
                None
            }
        }
    }
}

/// What there is.
async fn catalogue(link: &Link) -> Result<Catalogue, Error> {
    let locked = Locked::new(&link.client).await?;
    let catalogue = locked.catalogue().await;
    locked.release().await;
    catalogue
}

/// Where a reader begins that wants so many events before the end of each partition. With what begins a stream it never
/// begins.
async fn begin(link: &Link, catalogue: &Catalogue, back: u64) -> Result<Cursor, Failure> {
    let names = &link.client.options.names;
    let ends = try_join_all((0..=catalogue.partitions).map(|partition| async move {
        let last = stream::last(link, &names.events(partition)).await?;
        Ok::<_, Failure>((last + 1).saturating_sub(back).max(1))
    }));
    Ok(Cursor::new(catalogue.log, ends.await?))
}

#[async_trait]
impl messaging::Tail for Tail {
    async fn next(&mut self) -> Result<Tailed, Error> {
        loop {
            if self.messages.is_none() && self.connect().await? {
                return Ok(Tailed::Gap);
            }
            match self.receive().await {
                Some((partition, received)) => {
                    if let Some(tailed) = self.read(partition, received) {
                        return Ok(tailed);
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
