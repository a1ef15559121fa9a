//! Starting telemetry and flushing it at the end.

use std::{env, fmt::Display, io::IsTerminal as _, time::Duration};

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{
    Resource,
    logs::{SdkLogger, SdkLoggerProvider},
    metrics::SdkMeterProvider,
    trace::{SdkTracerProvider, TracerProviderBuilder},
};
use tracing::{Event, Metadata};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::{
    Config, Error, Format,
    format::Lines,
    lines::{self, Repeats},
    metrics, otlp,
    output::{self, Flush, Output},
    recent,
    resource::resource,
};

/// Libraries below the exporter: their spans and lines would be exported through themselves, without end.
const PLUMBING: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "opentelemetry_otlp", "tonic", "tower"];

/// Keeps telemetry running; [`Guard::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "telemetry that is not shut down loses its last spans"]
pub struct Guard {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    /// Writes the last lines when it is dropped.
    _lines: Flush,
}

/// How long the last spans, metrics and logs of [`observed`] may take to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// Does a process' work with telemetry: what it fails with is logged, and the last spans, metrics and logs leave before
/// this returns.
///
/// # Errors
///
/// Those of [`init`], and of the work.
pub async fn observed<T, E: From<Error> + Display>(
    config: &Config,
    service: &'static str,
    version: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let guard = init(config, service, version)?;
    let outcome = work.await;
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "the service failed");
    }
    guard.shutdown(FLUSH).await;
    outcome
}

/// Starts logs, traces and metrics of this process. Call it inside a multi-threaded runtime.
///
/// # Errors
///
/// The configuration or the `OTEL_*` environment is wrong, or it was called before.
pub fn init(config: &Config, service: &'static str, version: &'static str) -> Result<Guard, Error> {
    let runtime = otlp::check_runtime()?;
    let variables = otlp::Variables::of_process()?;
    let resource = resource(service, version, &variables);
    let metrics = metrics::provider(metrics::registry())?.with_resource(resource.clone());
    let (out, lines) = output::start(std::io::stdout()).map_err(Error::Thread)?;
    let guard = Guard {
        _lines: lines,
        metrics: otlp::metrics(metrics, &variables, &runtime)?.build(),
        logs: otlp::logs(resource.clone(), &variables, &runtime)?,
        traces: otlp::traces(traces(config, resource), &variables, &runtime)?,
    };
    let repeats = Repeats::default();
    subscribe(config, service, &guard, out.clone(), repeats.clone())?;
    global::set_meter_provider(guard.metrics.clone());
    lines::observe(out, repeats);
    otlp::observe();
    Ok(guard)
}

/// What all spans come to, whether they are sent or not.
fn traces(config: &Config, resource: Resource) -> TracerProviderBuilder {
    let provider = SdkTracerProvider::builder().with_resource(resource.clone());
    match config.recent_spans {
        0 => provider,
        limit => provider.with_span_processor(recent::keep(limit, resource)),
    }
}

/// Lines go to standard output and, where they are sent, to the loggers; spans to the tracers, however few lines there are.
fn subscribe(
    config: &Config,
    service: &'static str,
    guard: &Guard,
    out: Output,
    repeats: Repeats,
) -> Result<(), Error> {
    let terminal = std::io::stdout().is_terminal();
    let json = config.format == Format::Json || (config.format == Format::Auto && !terminal);
    let colours = terminal && env::var_os("NO_COLOR").is_none();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(guard.traces.tracer("trireme"))
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(
            filter_fn(|metadata| metadata.is_span() && is_own(metadata)).with_max_level_hint(LevelFilter::INFO),
        );
    let events = Events {
        lines: Lines { service, json, colours, repeats: repeats.clone(), out },
        records: guard.logs.as_ref().map(OpenTelemetryTracingBridge::new),
    };
    let events = events.with_filter(filter_fn(is_event).and(lines::changing(&config.log)?).and(repeats));
    let layers: [Box<dyn Layer<Registry> + Send + Sync>; 2] = [spans.boxed(), events.boxed()];
    tracing_subscriber::registry().with(Vec::from(layers)).try_init()?;
    Ok(())
}

/// An event is a line and, where these are sent, a log record. One layer for both: what is written is decided once.
struct Events {
    lines: Lines,
    records: Option<OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>>,
}

impl Layer<Registry> for Events {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, Registry>) {
        self.lines.write(event);
        if let Some(records) = self.records.as_ref().filter(|_| is_own(event.metadata())) {
            records.on_event(event, context);
        }
    }
}

/// Whether it is a line: neither lines nor records look at spans.
fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    !PLUMBING.iter().any(|library| metadata.target().starts_with(library))
}

impl Guard {
    /// Sends what is left, for at most `limit`, and stops.
    pub async fn shutdown(self, limit: Duration) {
        let before = otlp::lost();
        // The exporters block their thread and need the runtime's others to make progress.
        let flush = tokio::task::spawn_blocking(move || {
            let logs = self.logs.map(|logs| logs.shutdown_with_timeout(limit));
            [
                self.traces.shutdown_with_timeout(limit),
                self.metrics.shutdown_with_timeout(limit),
                logs.unwrap_or(Ok(())),
            ]
        });
        let in_time = tokio::time::timeout(limit, flush).await.is_ok_and(|results| results.is_ok());
        let ((spans, logs), after) = (before, otlp::lost());
        let (spans, log_records) = (after.0 - spans, after.1 - logs);
        // What the SDK answers says nothing of a last batch that nobody took.
        if !in_time || spans + log_records > 0 {
            tracing::warn!(in_time, spans, log_records, "telemetry is lost at the end");
        }
    }
}
