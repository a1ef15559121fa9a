//! What things are called on the server.

use messaging::{Error, Event, partitioned::partition_of};

/// This bus, as OpenTelemetry names it.
pub(crate) const SYSTEM: &str = "nats";

/// Partitions of the keys, each read by one member of a group at a time: so at most as many members of a group work at
/// the same time. Fixed for the life of a stream; the work inside a partition is not serial, only that of a key is.
pub(crate) const KEYS: u16 = 16;
/// All partitions: events that are marked for the canary have their own, which come after those of the others.
pub(crate) const PARTITIONS: u16 = 2 * KEYS;

/// The priority group in which a partition has one reader.
pub(crate) const READERS: &str = "readers";

/// The partition of an event.
pub(crate) fn partition(event: &Event) -> u16 {
    partition_of(&event.key, KEYS) + if event.carrier.canary { KEYS } else { 0 }
}

/// Names under a prefix, so that several systems can share a server.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if prefix.is_empty() || !prefix.chars().all(plain) {
            return Err(Error::Address("prefix may hold letters, digits, `-` and `_`".to_owned()));
        }
        Ok(Self(prefix.to_owned()))
    }

    /// The stream of all events.
    pub(crate) fn events(&self) -> String {
        format!("{}-events", self.0)
    }

    /// The stream of dead letters.
    pub(crate) fn dead_letters(&self) -> String {
        format!("{}-dead", self.0)
    }

    /// The bucket in which releases up to 0.1 kept the offsets of their groups.
    pub(crate) fn offsets(&self) -> String {
        format!("{}-groups", self.0)
    }

    /// What [`Self::events`] listens to.
    pub(crate) fn all_events(&self) -> Vec<String> {
        vec![format!("{}.event.>", self.0), format!("{}.replay.>", self.0)]
    }

    /// What [`Self::dead_letters`] listens to.
    pub(crate) fn all_dead_letters(&self) -> String {
        format!("{}.dead.>", self.0)
    }

    /// Events of a kind in one partition.
    pub(crate) fn event(&self, partition: u16, kind: &str) -> String {
        format!("{}.event.{partition}.{kind}", self.0)
    }

    /// Events of a kind in each partition.
    pub(crate) fn in_any_partition(&self, kind: &str) -> String {
        format!("{}.event.*.{kind}", self.0)
    }

    /// Replays for a group in one partition.
    pub(crate) fn replay(&self, partition: u16, group: &str) -> String {
        format!("{}.replay.{partition}.{group}", self.0)
    }

    /// The partition that a subject names.
    pub(crate) fn partition(&self, subject: &str) -> Option<u16> {
        subject.strip_prefix(&self.0)?.split('.').nth(2)?.parse().ok()
    }

    /// Dead letters of one group or of all.
    pub(crate) fn group_dead_letters(&self, group: Option<&str>) -> String {
        group.map_or_else(|| self.all_dead_letters(), |group| format!("{}.dead.{group}.>", self.0))
    }

    /// One dead letter.
    pub(crate) fn dead_letter(&self, group: &str, event: uuid::Uuid) -> String {
        format!("{}.dead.{group}.{event}", self.0)
    }

    /// Where the members of a group tell each other that they live.
    pub(crate) fn heartbeat(&self, group: &str) -> String {
        format!("{}.heartbeat.{group}", self.0)
    }
}

/// Says whether the text can stand in a subject, between or with dots.
pub(crate) fn is_subject(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.split('.').all(|token| !token.is_empty() && token.chars().all(plain))
}

/// The durable consumer of a group for one partition: `order_03`, and `order_03c` for the canary's.
pub(crate) fn consumer(group: &str, partition: u16) -> String {
    // A dot cannot stand in the name of a consumer, and `~` cannot stand in that of a group.
    let (group, mark) = (group.replace('.', "~"), if partition < KEYS { "" } else { "c" });
    format!("{group}_{:02}{mark}", partition % KEYS)
}
