//! Chooses the bus by the scheme of its URL.

use std::sync::Arc;

use clock::SharedClock;
use serde::Deserialize;

use crate::{Bus, Error, Track, nats::NatsBus, sqlite::SqliteBus};

/// Section `bus` of a service's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its URL: `sqlite://PATH`, `nats://HOST:4222`, `tls://HOST:4222`.
    pub url: String,
    /// Whether this process is the canary among the service's consumers: see [`Track`].
    pub canary: bool,
}

impl Config {
    /// Which version the process is.
    pub fn track(&self) -> Track {
        if self.canary { Track::Canary } else { Track::Stable }
    }
}

/// Opens the bus of a URL for one version of a service: `sqlite://path` is the embedded one, in a file that processes share;
/// `nats://host:4222` is NATS `JetStream`, `tls://` the same and insists on TLS.
///
/// # Errors
/// [`Error::UnknownScheme`], or the bus cannot be reached.
pub async fn open(url: &str, track: Track, clock: SharedClock) -> Result<Arc<dyn Bus>, Error> {
    // What stands behind the scheme may hold a password.
    match url.split(':').next().unwrap_or_default() {
        "sqlite" => Ok(Arc::new(SqliteBus::open(url, clock).await?.on_track(track))),
        "nats" | "tls" => Ok(Arc::new(NatsBus::open(url, clock).await?.on_track(track))),
        scheme => Err(Error::UnknownScheme(scheme.to_owned())),
    }
}
