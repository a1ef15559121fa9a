//! What a service's configuration says of its bus.

use serde::Deserialize;

use crate::Track;

/// Section `bus` of a service's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its URL; the scheme picks the adapter.
    pub url: String,
    /// Whether this process is the canary among the service's consumers: see [`Track`].
    pub canary: bool,
    /// Whether what is on the broker already is brought to the limits in the URL; what is missing is declared anyway.
    pub declare: bool,
    /// Whether events leave the outbox. They wait there while a bus is drained, to move to another one.
    pub publish: bool,
}

impl Config {
    /// The bus of this URL, for the version that everybody uses.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), canary: false, declare: false, publish: true }
    }

    /// Which version the process is.
    pub fn track(&self) -> Track {
        if self.canary { Track::Canary } else { Track::Stable }
    }
}
