//! What is measured of pools and deliveries. A process of its own: telemetry begins before its instruments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deliveries;
mod pool;

use std::sync::OnceLock;

use telemetry::{Config, Format, Guard};

/// Begins telemetry, once for all tests.
fn begin() {
    static BEGUN: OnceLock<Guard> = OnceLock::new();
    let config = Config { log: "off".to_owned(), format: Format::Json, recent_spans: 0 };
    BEGUN.get_or_init(|| telemetry::init(&config, "test", "0").unwrap());
}

/// The value of the only series of this name that has all these labels.
fn value(name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let shown = telemetry::prometheus_text();
    let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let lines = shown.lines().filter(|line| line.split('{').next() == Some(name));
    let mut found = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    let value = found.next()?.rsplit(' ').next()?.parse().ok();
    assert_eq!(found.next(), None, "{name} {labels:?}");
    value
}
