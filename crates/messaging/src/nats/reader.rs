//! Reads the parts of a member in the order of the log.

use std::collections::BTreeSet;

use async_nats::jetstream::{
    Message,
    consumer::{
        DeliverPolicy,
        pull::{Ordered, OrderedConfig},
    },
    stream::Stream,
};
use futures::{FutureExt as _, StreamExt as _};

use super::{
    entry::REPLAY,
    names::{Names, PARTS},
};
use crate::Error;

/// Messages taken in one go.
const BATCH: usize = 256;

/// What a reader reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) parts: BTreeSet<u16>,
    /// How many parts the member had taken.
    pub(super) taken: u64,
    /// Counts the connections to the server: a reader does not outlive its own.
    pub(super) connection: u64,
}

/// An ordered consumer, kept by the server as long as we read.
pub(super) struct Reader {
    messages: Ordered,
    pub(super) extent: Extent,
    /// The log has nothing for us up to there, if it had nothing at all when this was opened.
    pub(super) passed: Option<u64>,
}

impl Reader {
    pub(super) async fn open(
        stream: &Stream,
        names: &Names,
        group: &str,
        kinds: &[String],
        extent: Extent,
        start: u64,
    ) -> Result<Self, Error> {
        let end = stream.get_info().await.map_err(Error::bus)?.state.last_sequence;
        let config = OrderedConfig {
            filter_subjects: filters(names, group, kinds, &extent.parts),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start.max(1) },
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(Error::bus)?;
        let passed = (consumer.cached_info().num_pending == 0).then_some(end);
        let messages = consumer.messages().await.map_err(Error::bus)?;
        Ok(Self { messages, extent, passed })
    }

    /// Waits for a message and takes those that are there already. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, Error> {
        let mut batch = Vec::new();
        let mut next = self.messages.next().await;
        loop {
            match next {
                Some(Ok(message)) => batch.push(message),
                // What was read before is kept; the failure comes again.
                _ if !batch.is_empty() => return Ok(batch),
                Some(Err(error)) => return Err(Error::bus(error)),
                None => return Err(Error::bus("the reader ended")),
            }
            if batch.len() == BATCH {
                return Ok(batch);
            }
            match self.messages.next().now_or_never() {
                Some(ready) => next = ready,
                None => return Ok(batch),
            }
        }
    }
}

/// The subjects of some parts.
pub(super) fn filters(names: &Names, group: &str, kinds: &[String], parts: &BTreeSet<u16>) -> Vec<String> {
    let subject = |part: Option<u16>, kind: &String| {
        if kind == REPLAY { names.replay(part, group) } else { names.event(part, kind) }
    };
    if parts.len() == usize::from(PARTS) {
        return kinds.iter().map(|kind| subject(None, kind)).collect();
    }
    parts.iter().flat_map(|part| kinds.iter().map(move |kind| subject(Some(*part), kind))).collect()
}
