//! Taking what the stream sends.

use lapin::message::Delivery;
use messaging::{
    Error, Position,
    partitioned::{Progress, Record},
};
use tokio::time::Instant;

use super::{Reader, UPKEEP};
use crate::{memory::Memory, message::Received, names::SYSTEM, stream};

impl Reader<'_> {
    /// Says that the group has read another log than this.
    pub(super) fn other_log(&self, mark: u64) {
        tracing::error!(
            group = self.shared.group.name,
            partition = self.partition,
            read = mark,
            end = self.end,
            "the group has read another log than this: it reads the partition from its start, and the inbox sorts out what comes again"
        );
    }

    /// Takes one message of the stream.
    pub(super) fn receive(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let Some(received) = stream::take(delivery) else { return Ok(()) };
        let mut state = self.shared.state();
        let Some(partition) = state.held.get_mut(&self.partition) else { return Ok(()) };
        let (mark, offset) = (partition.progress.mark(), received.offset);
        let is_other = |(read, id): &(u64, String)| *read == offset && *id != received.id;
        let other = offset < self.next || self.token.before.as_ref().is_some_and(is_other);
        if other {
            partition.progress = Progress::from(0);
            self.token.before = None;
            partition.given_up = true;
            (self.changed, self.written) = (true, Instant::now() - UPKEEP);
            self.other_log(mark);
            self.memory = Memory::default();
            return Ok(());
        }
        if offset > self.next.max(mark) {
            tracing::error!(
                group = self.shared.group.name,
                partition = self.partition,
                from = self.next.max(mark),
                to = offset,
                "events are missing from the stream: they were older than it keeps, and the group had not read them"
            );
            if self.next > mark {
                return Err(Error::bus("the stream was cut off while it was read"));
            }
            partition.progress.skip(mark, offset);
            self.changed = true;
        }
        self.next = offset + 1;
        let is_new = self.memory.remember(offset, &received.id);
        if !partition.progress.is_done(offset) {
            if let Some(mut record) = self.record(received, is_new) {
                record.deliveries = partition.progress.next_delivery(offset);
                self.waiting.push_back(record);
            } else {
                partition.progress.settle(offset);
                self.changed = true;
            }
        }
        Ok(())
    }

    /// What is the group's to handle.
    fn record(&self, received: Received, is_new: bool) -> Option<Record<u64>> {
        let event = match received.event? {
            Ok(event) => event,
            Err(error) => {
                let position = Position { partition: self.partition.into(), offset: received.offset };
                messaging::unreadable(SYSTEM, position, &error);
                return None;
            }
        };
        let ours = received.group.is_none_or(|group| group == self.shared.group.name);
        (is_new && ours && self.token.kinds.contains(&event.kind)).then(|| Record {
            partition: self.partition,
            position: received.offset,
            deliveries: 1,
            replays: received.replays,
            event,
            handle: self.token.epoch,
        })
    }
}
