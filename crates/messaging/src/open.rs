//! Chooses the bus by the scheme of its URL.

use std::sync::Arc;

use clock::SharedClock;

use crate::{Bus, Error, nats::NatsBus, sqlite::SqliteBus};

/// Opens the bus of a URL: `sqlite://path` is the embedded one, in a file that processes share;
/// `nats://host:4222` is NATS `JetStream`, `tls://` the same and insists on TLS.
///
/// # Errors
/// [`Error::UnknownScheme`], or the bus cannot be reached.
pub async fn open(url: &str, clock: SharedClock) -> Result<Arc<dyn Bus>, Error> {
    // What stands behind the scheme may hold a password.
    match url.split(':').next().unwrap_or_default() {
        "sqlite" => Ok(Arc::new(SqliteBus::open(url, clock).await?)),
        "nats" | "tls" => Ok(Arc::new(NatsBus::open(url, clock).await?)),
        scheme => Err(Error::UnknownScheme(scheme.to_owned())),
    }
}
