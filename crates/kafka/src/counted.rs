//! Which dead letters there are, by the keys of their log.

use std::{collections::HashSet, time::Instant};

use rdkafka::message::{BorrowedMessage, Message as _};

use crate::message::{headers, text};

/// Names the claim in the headers of a claim.
pub(crate) const CLAIM: &str = "claim";
/// What the key of a claim ends with.
pub(crate) const OF_CLAIM: &str = "/claim";

/// The keys of the dead letters, up to where the log has been read.
#[derive(Clone, Default)]
pub(crate) struct Counted {
    pub(crate) end: i64,
    pub(crate) at: Option<Instant>,
    pub(crate) keys: HashSet<String>,
}

impl Counted {
    /// An event that was given up again, while its last dead letter is still being taken back, is one.
    pub(crate) fn of(&self, group: &str) -> u64 {
        let events = self.keys.iter().filter_map(|key| key.strip_prefix(group)?.strip_prefix('/')?.split('/').next());
        u64::try_from(events.collect::<HashSet<_>>().len()).unwrap_or(u64::MAX)
    }

    /// Takes note of a record.
    pub(crate) fn note(&mut self, message: &BorrowedMessage<'_>) {
        self.end = message.offset() + 1;
        let Some(key) = message.key().and_then(|key| std::str::from_utf8(key).ok()) else { return };
        if key.ends_with(OF_CLAIM) {
            return;
        }
        if message.payload().is_none() {
            self.keys.remove(key);
        } else if text(&headers(message), CLAIM).is_none() {
            self.keys.insert(key.to_owned());
        }
    }
}
