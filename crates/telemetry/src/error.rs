//! Why telemetry cannot start.

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter of lines is none.
    #[error("the filter of lines (`telemetry.log`) is none such as `info,order=debug`")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A standard variable of the environment is wrong, or means nothing here.
    #[error("{name} cannot be used: {why}")]
    Variable {
        /// Which.
        name: String,
        /// What is wrong with it; never what it was.
        why: String,
    },
    /// The OTLP settings in the environment are wrong.
    #[error("the OTEL_EXPORTER_OTLP_* settings cannot be used")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The exporters would deadlock at the end on fewer than two workers (opentelemetry-rust#2715).
    #[error("telemetry needs a multi-threaded runtime with at least 2 workers")]
    Runtime,
    /// The metrics reader cannot be made.
    #[error("metrics cannot be read")]
    Metrics(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// There can be no further thread.
    #[error("no thread can be started to write lines")]
    Thread(#[source] std::io::Error),
    /// [`init`](crate::init) was not called.
    #[error("telemetry is not started")]
    NotStarted,
    /// [`init`](crate::init) was called before.
    #[error("telemetry is started already")]
    Again(#[from] tracing_subscriber::util::TryInitError),
}
