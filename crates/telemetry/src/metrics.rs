//! Metrics: one meter, read by Prometheus on the admin port and sent over OTLP where that is on.

use std::sync::OnceLock;

use opentelemetry::{global, metrics::Meter};
use prometheus::{Registry, TextEncoder};

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The registry that the admin port shows.
pub(crate) fn registry() -> &'static Registry {
    REGISTRY.get_or_init(Registry::new)
}

/// The meter of this process. Instruments made before [`init`](crate::init) record nothing.
pub fn meter() -> Meter {
    global::meter("trireme")
}

/// All metrics in Prometheus' text format 0.0.4.
pub fn prometheus_text() -> String {
    TextEncoder::new().encode_to_string(&registry().gather()).unwrap_or_else(|error| format!("# {error}\n"))
}
