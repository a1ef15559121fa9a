//! Reading the topics of events past all groups: nothing is committed, and the brokers know of nobody.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use messaging::{Cursor, Error, Event, Position, Tailed, partitioned::partition_of};
use rdkafka::{Message as _, Offset, TopicPartitionList, consumer::Consumer as _};

use crate::{
    blocking::{TIMEOUT, blocking},
    connection::Connection,
    context::{Asking, Reading, serve},
    group::{extent, partitions},
    message::Received,
    names::SYSTEM,
    partition::Seen,
};

/// A reader of both topics.
pub(crate) struct Tail {
    consumer: Reading,
    marked: String,
    kinds: Vec<String>,
    cursor: Cursor,
    /// How many partitions the topic of unmarked events has; those of marked ones come behind.
    unmarked: usize,
    /// By which repetitions are recognised.
    seen: Vec<Seen>,
    /// What came behind a gap.
    waiting: VecDeque<(Position, Received)>,
}

/// Where a tail begins.
struct Start {
    cursor: Cursor,
    unmarked: usize,
    assignment: TopicPartitionList,
}

impl Start {
    fn find(connection: &Connection, consumer: &Asking, back: u64) -> Result<Self, rdkafka::error::KafkaError> {
        let names = connection.names();
        let (mut offsets, mut unmarked, mut assignment) = (Vec::new(), 0, TopicPartitionList::new());
        for topic in [names.events(), names.marked()] {
            serve(consumer);
            let partitions = partitions(consumer, &topic)?;
            let lows = extent(consumer, &partitions, Offset::Beginning)?;
            for (partition, high) in extent(consumer, &partitions, Offset::End)? {
                let low = lows.get(&partition).copied().unwrap_or_default();
                let from = high.saturating_sub(back).max(low);
                offsets.push(from);
                assignment.add_partition_offset(&topic, partition, Offset::Offset(from.cast_signed()))?;
            }
            unmarked = if unmarked == 0 { partitions.count() } else { unmarked };
        }
        let cluster = consumer.client().fetch_cluster_id(TIMEOUT).unwrap_or_default();
        // The same in every process: which cluster it is, and which topic.
        let log = partition_of(&cluster, u16::MAX);
        let log = u64::from(log) << 16 | u64::from(partition_of(&names.events(), u16::MAX));
        Ok(Self { cursor: Cursor::new(log, offsets), unmarked, assignment })
    }
}

impl Tail {
    pub(crate) async fn open(connection: Arc<Connection>, kinds: &[&str], back: u64) -> Result<Self, Error> {
        connection.ensure().await?;
        let mut config = connection.options.consumer();
        config.set("group.id", connection.names().events());
        let (consumer, asking): (Reading, Asking) = (connection.create(&config)?, connection.create(&config)?);
        let marked = connection.names().marked();
        let context = connection.context.clone();
        let start = blocking(&context, move || Start::find(&connection, &asking, back)).await?;
        consumer.assign(&start.assignment).map_err(Error::bus)?;
        let seen = (0..start.assignment.count()).map(|_| Seen::default()).collect();
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let Start { cursor, unmarked, .. } = start;
        Ok(Self { consumer, marked, kinds, cursor, unmarked, seen, waiting: VecDeque::new() })
    }

    /// The event of a record, where it is one that was asked for.
    fn event(&mut self, position: Position, received: Received) -> Option<Event> {
        if received.group.is_some() {
            return None;
        }
        match received.event {
            Ok(event) => {
                let seen = self.seen.get_mut(position.partition)?;
                let is_new = !seen.is_repeated(event.id, position.offset);
                Some(event).filter(|event| is_new && self.kinds.contains(&event.kind))
            }
            Err(error) => {
                // The position is the next record's.
                let offset = position.offset.saturating_sub(1);
                messaging::unreadable(SYSTEM, Position { offset, ..position }, &error);
                None
            }
        }
    }

    /// The next record, and whether it is the one that was to come.
    async fn receive(&mut self) -> Result<(Position, Received), Error> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(waiting);
        }
        let message = self.consumer.recv().await.map_err(|error| self.consumer.context().failed(error))?;
        let first = if message.topic() == self.marked { self.unmarked } else { 0 };
        let partition = first + usize::try_from(message.partition()).unwrap_or_default();
        let received = Received::of(&message);
        Ok((Position { partition, offset: received.offset + 1 }, received))
    }
}

#[async_trait]
impl messaging::Tail for Tail {
    async fn next(&mut self) -> Result<Tailed, Error> {
        loop {
            let (position, received) = self.receive().await?;
            if position.offset != self.cursor.offset(position.partition) + 1 {
                let read = self.cursor.offset(position.partition);
                tracing::error!(
                    read,
                    next = position.offset,
                    partition = position.partition,
                    "events are missing from the log"
                );
                self.cursor.advance(Position { offset: position.offset - 1, ..position });
                self.waiting.push_back((position, received));
                return Ok(Tailed::Gap);
            }
            self.cursor.advance(position);
            if let Some(event) = self.event(position, received) {
                return Ok(Tailed::Event(position, Box::new(event)));
            }
        }
    }

    fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}
