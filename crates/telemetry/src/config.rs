//! The configuration of logs. Traces and metrics follow the standard `OTEL_*` variables.

use serde::Deserialize;

/// Section `telemetry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which lines: a filter as of `tracing_subscriber::EnvFilter`, such as `info` or `info,order=debug`.
    pub log: String,
    /// The format of lines.
    pub format: Format,
    /// Finished spans that are kept in memory for the admin port, a KiB each on average; 0: none.
    #[serde(deserialize_with = "config::within::<0, 100_000, _, _>")]
    pub recent_spans: usize,
}

/// The format of lines.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// [`Format::Pretty`] on a terminal, [`Format::Json`] otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
