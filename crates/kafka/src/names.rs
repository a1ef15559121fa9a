//! What things are called on the brokers.

use messaging::Error;

/// This bus, as OpenTelemetry names it.
pub(crate) const SYSTEM: &str = "kafka";

/// The `client.id` of a member of version 2, by which the others know that one is there.
pub(crate) const CANARY: &str = "trireme-canary";

/// Names under a prefix, so that several systems can share a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, Error> {
        if is_name(prefix) && !prefix.contains('.') {
            return Ok(Self(prefix.to_owned()));
        }
        Err(Error::Address("prefix may hold letters, digits, `-` and `_`".to_owned()))
    }

    /// The topic of all events that are not marked for the canary.
    pub(crate) fn events(&self) -> String {
        format!("{}.events", self.0)
    }

    /// The topic of those that are.
    pub(crate) fn marked(&self) -> String {
        format!("{}.events-canary", self.0)
    }

    /// The topic of dead letters.
    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead", self.0)
    }

    /// The Kafka group of a consumer group. What follows a `~` cannot be part of another group's name.
    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}.{group}", self.0)
    }

    /// Its Kafka group for marked events.
    pub(crate) fn canaries(&self, group: &str) -> String {
        format!("{}.{group}~canary", self.0)
    }

    /// Its Kafka group without members, whose metadata says which kinds the group is given.
    pub(crate) fn kinds(&self, group: &str) -> String {
        format!("{}.{group}~kinds", self.0)
    }
}

/// Says whether the text can be the name of a group or a kind: words with dots between them.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.split('.').all(|word| !word.is_empty() && word.chars().all(plain))
}
