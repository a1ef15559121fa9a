//! Export over OTLP, by gRPC or by HTTP with protobuf, as the standard `OTEL_*` variables say.

mod delivery;
mod http;
mod tls;
mod variables;

use std::time::Duration;

use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig as _, WithTonicConfig,
};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchLogProcessor, SdkLoggerProvider},
    metrics::{MeterProviderBuilder, PeriodicReader},
    trace::{BatchSpanProcessor, SdkTracerProvider, TracerProviderBuilder},
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tonic::transport::ClientTlsConfig;

pub(crate) use self::variables::Variables;
#[cfg(test)]
pub(crate) use self::variables::table;
use self::{
    delivery::{Bounded, Counted, LOGS, METRICS, SPANS},
    http::Sender,
    tls::Tls,
};
use crate::Error;

/// Of one export (`OTEL_EXPORTER_OTLP_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(10);
/// Spans, and log records, that may wait (`OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_QUEUE_SIZE`).
const MAX_WAITING: u64 = 2_048;

/// How a signal is sent.
enum Transport {
    Grpc { endpoint: Option<String>, tls: Option<ClientTlsConfig> },
    Http(Sender),
}

/// Refuses a runtime on which the batch processors deadlock at the end: they wait on a thread of their own for work
/// that needs a worker of this runtime (opentelemetry-rust#2715).
pub(crate) fn check_runtime() -> Result<Handle, Error> {
    let handle = Handle::try_current().map_err(|_| Error::Runtime)?;
    let enough = handle.runtime_flavor() != RuntimeFlavor::CurrentThread && handle.metrics().num_workers() >= 2;
    if enough { Ok(handle) } else { Err(Error::Runtime) }
}

/// Whether a signal is sent: where its exporter is asked for, or where there is an endpoint. Without either nothing touches
/// the network.
fn is_wanted(variables: &Variables, signal: &str) -> bool {
    let disabled = variables.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exporter = variables.get(&format!("OTEL_{signal}_EXPORTER"));
    !disabled && exporter.map_or_else(|| variables.of_signal(signal, "ENDPOINT").is_some(), |name| name == "otlp")
}

fn transport(variables: &Variables, signal: &str, runtime: &Handle) -> Result<Option<Transport>, Error> {
    if !is_wanted(variables, signal) {
        return Ok(None);
    }
    let tls = Tls::read(variables, signal)?;
    if variables.of_signal(signal, "PROTOCOL") == Some("http/protobuf") {
        let milliseconds = variables.of_signal(signal, "TIMEOUT").and_then(|value| value.parse().ok());
        let timeout = milliseconds.map_or(TIMEOUT, Duration::from_millis);
        return Ok(Some(Transport::Http(Sender::new(tls.http()?, runtime.clone(), timeout))));
    }
    let endpoint = variables.of_signal(signal, "ENDPOINT").map(|endpoint| with_scheme(variables, signal, endpoint));
    let encrypted = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("https:"));
    Ok(Some(Transport::Grpc { tls: encrypted.then(|| tls.grpc()), endpoint }))
}

/// The specification: without a scheme the connection is encrypted, but where it is said that it is not.
fn with_scheme(variables: &Variables, signal: &str, endpoint: &str) -> String {
    if endpoint.contains("://") {
        return endpoint.to_owned();
    }
    let insecure = variables.of_signal(signal, "INSECURE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    format!("{}://{endpoint}", if insecure { "http" } else { "https" })
}

/// What both ways have in common for each of the three kinds of exporters.
fn grpc<B: WithTonicConfig + WithExportConfig>(
    builder: B,
    endpoint: Option<String>,
    tls: Option<ClientTlsConfig>,
) -> B {
    let builder = match endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint),
        None => builder,
    };
    match tls {
        Some(tls) => builder.with_tls_config(tls),
        None => builder,
    }
}

fn limit(variables: &Variables, name: &str) -> Option<u32> {
    variables.get(name).and_then(|value| value.parse().ok())
}

fn max_waiting(variables: &Variables, name: &str) -> u64 {
    limit(variables, name).map_or(MAX_WAITING, u64::from)
}

/// Makes the tracers. Where traces are not wanted, ids are made all the same and nothing is sent.
pub(crate) fn traces(
    mut provider: TracerProviderBuilder,
    variables: &Variables,
    runtime: &Handle,
) -> Result<SdkTracerProvider, Error> {
    // The SDK reads the limits of spans; these it does not.
    if let Some(max) = limit(variables, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT") {
        provider = provider.with_max_attributes_per_event(max);
    }
    if let Some(max) = limit(variables, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT") {
        provider = provider.with_max_attributes_per_link(max);
    }
    let spans = limit(variables, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT");
    if let Some(max) = spans.or_else(|| limit(variables, "OTEL_ATTRIBUTE_COUNT_LIMIT")) {
        provider = provider.with_max_attributes_per_span(max);
    }
    let exporter = match transport(variables, "TRACES", runtime)? {
        None => return Ok(provider.build()),
        Some(Transport::Grpc { endpoint, tls }) => grpc(SpanExporter::builder().with_tonic(), endpoint, tls).build()?,
        Some(Transport::Http(sender)) => SpanExporter::builder().with_http().with_http_client(sender).build()?,
    };
    let inner = BatchSpanProcessor::builder(Counted(exporter, &SPANS)).build();
    let limit = max_waiting(variables, "OTEL_BSP_MAX_QUEUE_SIZE");
    Ok(provider.with_span_processor(Bounded { inner, delivery: &SPANS, limit }).build())
}

/// Adds the export of metrics, where it is wanted.
pub(crate) fn metrics(
    provider: MeterProviderBuilder,
    variables: &Variables,
    runtime: &Handle,
) -> Result<MeterProviderBuilder, Error> {
    let exporter = match transport(variables, "METRICS", runtime)? {
        None => return Ok(provider),
        Some(Transport::Grpc { endpoint, tls }) => {
            grpc(MetricExporter::builder().with_tonic(), endpoint, tls).build()?
        }
        Some(Transport::Http(sender)) => MetricExporter::builder().with_http().with_http_client(sender).build()?,
    };
    Ok(provider.with_reader(PeriodicReader::builder(Counted(exporter, &METRICS)).build()))
}

/// Makes the loggers, where log records are sent.
pub(crate) fn logs(
    resource: Resource,
    variables: &Variables,
    runtime: &Handle,
) -> Result<Option<SdkLoggerProvider>, Error> {
    let exporter = match transport(variables, "LOGS", runtime)? {
        None => return Ok(None),
        Some(Transport::Grpc { endpoint, tls }) => grpc(LogExporter::builder().with_tonic(), endpoint, tls).build()?,
        Some(Transport::Http(sender)) => LogExporter::builder().with_http().with_http_client(sender).build()?,
    };
    let inner = BatchLogProcessor::builder(Counted(exporter, &LOGS)).build();
    let limit = max_waiting(variables, "OTEL_BLRP_MAX_QUEUE_SIZE");
    let processor = Bounded { inner, delivery: &LOGS, limit };
    Ok(Some(SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build()))
}

/// Shows what becomes of spans and log records.
pub(crate) fn observe() {
    delivery::observe();
}

/// How many spans and log records were lost so far.
pub(crate) fn lost() -> (u64, u64) {
    (SPANS.lost(), LOGS.lost())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(vars: &[(&str, &str)]) -> Variables {
        Variables::of(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap()
    }

    fn wanted(vars: &[(&str, &str)]) -> [bool; 3] {
        let variables = variables(vars);
        variables::SIGNALS.map(|signal| is_wanted(&variables, signal))
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert_eq!(wanted(&[]), [false; 3]);
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), [false; 3]);
    }

    #[test]
    fn the_standard_variables_decide() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        assert_eq!(wanted(&[all]), [true; 3]);
        assert_eq!(wanted(&[all, ("OTEL_SDK_DISABLED", "TRUE")]), [false; 3]);
        assert_eq!(wanted(&[all, ("OTEL_METRICS_EXPORTER", "none")]), [true, false, true]);
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]), [true, false, false]);
        assert_eq!(wanted(&[("OTEL_LOGS_EXPORTER", "otlp")]), [false, false, true]);
    }

    #[test]
    fn without_a_scheme_a_connection_is_encrypted_unless_it_is_said() {
        let secure = variables(&[]);
        assert_eq!(with_scheme(&secure, "LOGS", "collector:4317"), "https://collector:4317");
        assert_eq!(with_scheme(&secure, "LOGS", "http://collector:4317"), "http://collector:4317");
        let insecure = variables(&[("OTEL_EXPORTER_OTLP_INSECURE", "true")]);
        assert_eq!(with_scheme(&insecure, "LOGS", "collector:4317"), "http://collector:4317");
    }

    #[tokio::test]
    async fn one_worker_is_refused() {
        assert!(matches!(check_runtime(), Err(Error::Runtime)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_workers_are_enough() {
        check_runtime().unwrap();
    }
}
