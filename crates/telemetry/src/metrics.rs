//! Metrics: what the registry has, read by Prometheus on the admin port and sent over OTLP where that is on.

use std::sync::OnceLock;

use opentelemetry::Key;
use opentelemetry_sdk::{
    error::OTelSdkError,
    metrics::{Aggregation, Instrument, MeterProviderBuilder, SdkMeterProvider, Stream},
};
use prometheus::{Registry, TextEncoder};

/// The series that one metric may have; what comes after them is counted in one with `otel.metric.overflow`.
const MAX_SERIES: usize = 1_000;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The registry that the admin port shows.
pub(crate) fn registry() -> &'static Registry {
    REGISTRY.get_or_init(Registry::new)
}

/// Makes the provider of instruments: what is exported of them is shown by `registry`, too.
pub(crate) fn provider(registry: &Registry) -> Result<MeterProviderBuilder, OTelSdkError> {
    let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone());
    // There is one meter: its name would say the same on every line.
    let prometheus = prometheus.scope_info_enabled(false).build()?;
    Ok(SdkMeterProvider::builder().with_reader(prometheus).with_view(view))
}

/// What is exported of an instrument: the attributes that [`semconv`] lists, and of an unknown one nothing.
fn view(instrument: &Instrument) -> Option<Stream> {
    let stream = Stream::builder().with_cardinality_limit(MAX_SERIES);
    let stream = match semconv::metrics::find(instrument.name()) {
        Some(metric) => {
            let allowed = metric.attributes.iter().map(|attribute| Key::from_static_str(attribute.name));
            stream.with_allowed_attribute_keys(allowed)
        }
        None => stream.with_aggregation(Aggregation::Drop),
    };
    stream.build().ok()
}

/// All metrics in Prometheus' text format 0.0.4.
pub fn prometheus_text() -> String {
    TextEncoder::new().encode_to_string(&registry().gather()).unwrap_or_else(|error| format!("# {error}\n"))
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        KeyValue,
        metrics::{Meter, MeterProvider as _},
    };
    use semconv::{attributes, metrics};

    use super::*;

    /// The lines of values that a scrape shows after `record`, but for `target_info`.
    fn scrape(record: impl FnOnce(&Meter)) -> Vec<String> {
        let registry = Registry::new();
        let provider = provider(&registry).unwrap().build();
        record(&provider.meter("test"));
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("target_info"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn what_the_registry_does_not_list_is_left_out() {
        let lines = scrape(|meter| {
            let sent = attributes::MAIL_OUTCOME.of("sent");
            meter.u64_counter(metrics::USER_MAIL.name).build().add(1, &[sent, KeyValue::new("user.email", "a@b.c")]);
            meter.u64_counter("made.up").build().add(1, &[]);
        });
        assert_eq!(lines, [r#"user_mail_total{mail_outcome="sent"} 1"#]);
    }

    #[test]
    fn a_flood_of_values_ends_in_one_series() {
        let lines = scrape(|meter| {
            let mails = meter.u64_counter(metrics::USER_MAIL.name).build();
            for number in 0..100_000 {
                mails.add(1, &[attributes::MAIL_OUTCOME.of(number.to_string())]);
            }
        });
        assert_eq!(lines.len(), MAX_SERIES + 1);
        assert!(
            lines.contains(&r#"user_mail_total{otel_metric_overflow="true"} 99000"#.to_owned()),
            "{:?}",
            lines.last()
        );
    }
}
