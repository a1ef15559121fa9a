//! What things are called on the server.

use messaging::{Error, Event, partitioned::partition_of};

/// This bus, as OpenTelemetry names it.
pub(crate) const SYSTEM: &str = "rabbitmq";

/// Longer names do not fit into what the server takes, with what is put before and behind them.
const LONGEST: usize = 64;

/// Names under a prefix, so that several systems can share a virtual host.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, Error> {
        if is_name(prefix) && !prefix.contains('.') {
            return Ok(Self(prefix.to_owned()));
        }
        Err(Error::Address("prefix may hold letters, digits, `-` and `_`".to_owned()))
    }

    /// The stream of a partition of the events.
    pub(crate) fn events(&self, partition: u16) -> String {
        format!("{}.events.{partition}", self.0)
    }

    /// The queue with the one message that says what there is.
    pub(crate) fn catalogue(&self) -> String {
        format!("{}.catalogue", self.0)
    }

    /// The queue that whoever changes something for all declares as its own.
    pub(crate) fn lock(&self) -> String {
        format!("{}.lock", self.0)
    }

    /// The queue of a group's partition: its token, and messages to its reader. What follows a `~` cannot be part of
    /// another group's name.
    pub(crate) fn token(&self, group: &str, partition: u16) -> String {
        format!("{}.{group}~{partition}", self.0)
    }

    /// The queue that the group's members consume, to be counted.
    pub(crate) fn members(&self, group: &str) -> String {
        format!("{}.{group}~members", self.0)
    }

    /// The same for those of version 2.
    pub(crate) fn canaries(&self, group: &str) -> String {
        format!("{}.{group}~canaries", self.0)
    }

    /// The queue of a group's dead letters.
    pub(crate) fn dead_letters(&self, group: &str) -> String {
        format!("{}.{group}~dead", self.0)
    }
}

/// The partition of an event: of those for keys, or the one behind them for events that are marked for the canary.
pub(crate) fn partition(event: &Event, partitions: u16) -> u16 {
    if event.carrier.canary { partitions } else { partition_of(&event.key, partitions) }
}

/// Says whether the text can be the name of a group or a kind: words with dots between them.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.len() <= LONGEST && text.split('.').all(|word| !word.is_empty() && word.chars().all(plain))
}
