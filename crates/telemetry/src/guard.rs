//! Starting telemetry and flushing it at the end.

use std::{env, fmt::Display, io::IsTerminal as _, time::Duration};

use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{Config, Error, Format, format::Line, metrics, otlp};

/// Libraries below the exporter: their spans would be exported through themselves, without end.
const PLUMBING: [&str; 7] = ["h2", "hyper", "hyper_util", "opentelemetry", "opentelemetry_otlp", "tonic", "tower"];

/// Keeps telemetry running; [`Guard::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "telemetry that is not shut down loses its last spans"]
pub struct Guard {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
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
    otlp::check_runtime()?;
    let resource = otlp::resource(service, version);
    let (traces, metrics) = providers(&resource)?;
    global::set_meter_provider(metrics.clone());
    let terminal = std::io::stdout().is_terminal();
    let json = config.format == Format::Json || (config.format == Format::Auto && !terminal);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Line { service, json })
        .with_ansi(terminal && env::var_os("NO_COLOR").is_none());
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("trireme"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(tracing_subscriber::filter::filter_fn(|metadata| {
            metadata.is_span() && !PLUMBING.iter().any(|library| metadata.target().starts_with(library))
        }));
    tracing_subscriber::registry().with(EnvFilter::try_new(&config.log)?).with(spans).with(lines).try_init()?;
    Ok(Guard { traces, metrics })
}

fn providers(resource: &Resource) -> Result<(SdkTracerProvider, SdkMeterProvider), Error> {
    let prometheus = opentelemetry_prometheus::exporter().with_registry(metrics::registry().clone()).build()?;
    let wanted = otlp::Wanted::from_env();
    let mut metrics = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(prometheus);
    if wanted.metrics {
        metrics = metrics.with_periodic_exporter(otlp::metrics()?);
    }
    Ok((otlp::tracer(resource.clone(), wanted)?, metrics.build()))
}

impl Guard {
    /// Sends what is left, for at most `limit`, and stops.
    pub async fn shutdown(self, limit: Duration) {
        // The exporters block their thread and need the runtime's others to make progress.
        let flush = tokio::task::spawn_blocking(move || {
            let traces = self.traces.shutdown_with_timeout(limit);
            (traces, self.metrics.shutdown_with_timeout(limit))
        });
        match tokio::time::timeout(limit, flush).await {
            Ok(Ok((Ok(()), Ok(())))) => {}
            Ok(Ok((traces, metrics))) => tracing::warn!(?traces, ?metrics, "telemetry was not flushed"),
            Ok(Err(error)) => tracing::warn!(%error, "telemetry was not flushed"),
            Err(_) => tracing::warn!("telemetry was not flushed in time"),
        }
    }
}
