//! Export over OTLP (gRPC), by the standard `OTEL_*` environment variables.

use std::env;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::Error;

/// What the environment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) traces: bool,
    pub(crate) metrics: bool,
}

impl Wanted {
    /// Reads the environment; without an endpoint nothing is wanted.
    pub(crate) fn from_env() -> Self {
        Self::from(|name| env::var(name).ok())
    }

    fn from(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).is_some_and(|value| !value.trim().is_empty());
        let is = |name: &str, value: &str| var(name).is_some_and(|found| found.trim().eq_ignore_ascii_case(value));
        let enabled = !is("OTEL_SDK_DISABLED", "true");
        let all = set("OTEL_EXPORTER_OTLP_ENDPOINT");
        let traces = all || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let metrics = all || set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        Self {
            traces: enabled && traces && !is("OTEL_TRACES_EXPORTER", "none"),
            metrics: enabled && metrics && !is("OTEL_METRICS_EXPORTER", "none"),
        }
    }
}

/// Refuses a runtime on which the batch processors deadlock at the end: they wait on a thread of their own for work
/// that needs a worker of this runtime (opentelemetry-rust#2715).
pub(crate) fn check_runtime() -> Result<(), Error> {
    let handle = Handle::try_current().map_err(|_| Error::Runtime)?;
    let enough = handle.runtime_flavor() != RuntimeFlavor::CurrentThread && handle.metrics().num_workers() >= 2;
    if enough { Ok(()) } else { Err(Error::Runtime) }
}

/// Who sends: name, version and instance, and whatever `OTEL_RESOURCE_ATTRIBUTES` says.
pub(crate) fn resource(service: &'static str, version: &'static str) -> Resource {
    let mut resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", version),
        KeyValue::new("service.instance.id", format!("{:032x}", rand::random::<u128>())),
    ]);
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service);
    }
    resource.build()
}

/// Makes the tracers. Where traces are not wanted, ids are made all the same and nothing is kept.
pub(crate) fn tracer(resource: Resource, wanted: Wanted) -> Result<SdkTracerProvider, ExporterBuildError> {
    let provider = SdkTracerProvider::builder().with_resource(resource);
    if !wanted.traces {
        return Ok(provider.build());
    }
    Ok(provider.with_batch_exporter(SpanExporter::builder().with_tonic().build()?).build())
}

/// Makes the exporter of metrics.
pub(crate) fn metrics() -> Result<MetricExporter, ExporterBuildError> {
    MetricExporter::builder().with_tonic().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(vars: &[(&str, &str)]) -> (bool, bool) {
        let wanted =
            Wanted::from(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        (wanted.traces, wanted.metrics)
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert_eq!(wanted(&[]), (false, false));
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), (false, false));
    }

    #[test]
    fn the_standard_variables_decide() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
        assert_eq!(wanted(&[all]), (true, true));
        assert_eq!(wanted(&[all, ("OTEL_SDK_DISABLED", "true")]), (false, false));
        assert_eq!(wanted(&[all, ("OTEL_METRICS_EXPORTER", "none")]), (true, false));
        assert_eq!(wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]), (true, false));
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
