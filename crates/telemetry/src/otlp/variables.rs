//! The `OTEL_*` variables of the specification: which count here, and what each may be.
//!
//! What is set and cannot be used is refused at the start, so that nobody waits for spans that never come. Those of the
//! specification ("Environment Variable Specification", "OpenTelemetry Protocol Exporter") that are stable are all here.

use std::{collections::BTreeMap, env};

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::Error;

/// A variable.
struct Variable {
    name: &'static str,
    value: Value,
    /// What it does here, or why it is refused.
    meaning: &'static str,
}

/// What may be in a variable.
enum Value {
    Text,
    Boolean,
    Count,
    Milliseconds,
    Ratio,
    Endpoint,
    Headers,
    Attributes,
    OneOf(&'static [&'static str]),
    Refused,
}

/// What every signal has: `OTEL_EXPORTER_OTLP_ENDPOINT`, and `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` before it.
pub(super) const SIGNALS: [&str; 3] = ["TRACES", "METRICS", "LOGS"];
const OF_SIGNALS: &str = "OTEL_EXPORTER_OTLP_";

const LENGTH_LIMIT: &str = "values are not cut";
const EXPORTERS: Value = Value::OneOf(&["otlp", "none"]);

const VARIABLES: [Variable; 43] = [
    of("OTEL_SDK_DISABLED", Value::Boolean, "`true`: nothing is sent"),
    of("OTEL_SERVICE_NAME", Value::Text, "before the service's own name"),
    of("OTEL_RESOURCE_ATTRIBUTES", Value::Attributes, "`key=value` between commas, percent-encoded; before our own"),
    of("OTEL_PROPAGATORS", Value::OneOf(&["tracecontext"]), "baggage is not carried"),
    of("OTEL_LOG_LEVEL", Value::Refused, "say it in `telemetry.log`"),
    of("OTEL_CONFIG_FILE", Value::Refused, "use the other variables"),
    of(
        "OTEL_TRACES_SAMPLER",
        Value::OneOf(&[
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ]),
        "which traces are sent; `parentbased_always_on`",
    ),
    of("OTEL_TRACES_SAMPLER_ARG", Value::Ratio, "of `traceidratio`; 1"),
    of("OTEL_TRACES_EXPORTER", EXPORTERS, "`otlp` where there is an endpoint"),
    of("OTEL_METRICS_EXPORTER", EXPORTERS, "`otlp` where there is an endpoint; the admin port shows them always"),
    of("OTEL_LOGS_EXPORTER", EXPORTERS, "`otlp` where there is an endpoint; standard output has them always"),
    of("OTEL_EXPORTER_OTLP_ENDPOINT", Value::Endpoint, "where to; `http://localhost:4317`, by HTTP `:4318`"),
    of("OTEL_EXPORTER_OTLP_PROTOCOL", Value::OneOf(&["grpc", "http/protobuf"]), "`grpc`"),
    of("OTEL_EXPORTER_OTLP_HEADERS", Value::Headers, "`name=value` between commas, percent-encoded"),
    of("OTEL_EXPORTER_OTLP_TIMEOUT", Value::Milliseconds, "of one export; 10000"),
    of("OTEL_EXPORTER_OTLP_COMPRESSION", Value::OneOf(&["none", "gzip"]), "`none`"),
    of(
        "OTEL_EXPORTER_OTLP_INSECURE",
        Value::Boolean,
        "for an endpoint without `http://` or `https://`: `true` is `http`",
    ),
    of("OTEL_EXPORTER_OTLP_CERTIFICATE", Value::Text, "file of authorities (PEM), instead of the system's"),
    of("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Value::Text, "file of our own certificate (PEM)"),
    of("OTEL_EXPORTER_OTLP_CLIENT_KEY", Value::Text, "file of its key (PEM)"),
    of(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        Value::OneOf(&["cumulative", "delta", "lowmemory"]),
        "`cumulative`",
    ),
    of(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        Value::OneOf(&["explicit_bucket_histogram"]),
        "the buckets are the instruments' own",
    ),
    of("OTEL_METRIC_EXPORT_INTERVAL", Value::Milliseconds, "60000"),
    of("OTEL_METRIC_EXPORT_TIMEOUT", Value::Refused, "use `OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`"),
    of("OTEL_METRICS_EXEMPLAR_FILTER", Value::OneOf(&["always_off"]), "there are no exemplars over OTLP"),
    of("OTEL_BSP_SCHEDULE_DELAY", Value::Milliseconds, "between two batches of spans; 5000"),
    of("OTEL_BSP_EXPORT_TIMEOUT", Value::Milliseconds, "30000"),
    of("OTEL_BSP_MAX_QUEUE_SIZE", Value::Count, "spans that wait at most; 2048"),
    of("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Value::Count, "512"),
    of("OTEL_BLRP_SCHEDULE_DELAY", Value::Milliseconds, "between two batches of log records; 1000"),
    of("OTEL_BLRP_EXPORT_TIMEOUT", Value::Milliseconds, "30000"),
    of("OTEL_BLRP_MAX_QUEUE_SIZE", Value::Count, "log records that wait at most; 2048"),
    of("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", Value::Count, "512"),
    of("OTEL_ATTRIBUTE_COUNT_LIMIT", Value::Count, "of spans, where they have no limit of their own"),
    of("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Value::Count, "128"),
    of("OTEL_SPAN_EVENT_COUNT_LIMIT", Value::Count, "128"),
    of("OTEL_SPAN_LINK_COUNT_LIMIT", Value::Count, "128"),
    of("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Value::Count, "128"),
    of("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Value::Count, "128"),
    of("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Value::Refused, LENGTH_LIMIT),
    of("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Value::Refused, LENGTH_LIMIT),
    of("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", Value::Refused, LENGTH_LIMIT),
    of("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", Value::Refused, "each has as many as its line"),
];

const fn of(name: &'static str, value: Value, meaning: &'static str) -> Variable {
    Variable { name, value, meaning }
}

/// The variables that are set; each of them can be used.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of the process.
    pub(crate) fn of_process() -> Result<Self, Error> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Self::of(env::vars_os().filter_map(text))
    }

    pub(crate) fn of(all: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        // The specification: an empty value is the same as none.
        let set = all.filter(|(name, value)| name.starts_with("OTEL_") && !value.trim().is_empty());
        let set: BTreeMap<_, _> = set.map(|(name, value)| (name, value.trim().to_owned())).collect();
        for (name, value) in &set {
            check(name, value).map_err(|why| Error::Variable { name: name.clone(), why })?;
        }
        Ok(Self(set))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The service's name, where one was given for itself.
    pub(crate) fn name(&self) -> Option<&str> {
        self.get("OTEL_SERVICE_NAME")
    }

    /// What is said for the signal, or else for all: `name` is what follows `OTEL_EXPORTER_OTLP_`.
    pub(super) fn of_signal(&self, signal: &str, name: &str) -> Option<&str> {
        self.get(&format!("{OF_SIGNALS}{signal}_{name}")).or_else(|| self.get(&format!("{OF_SIGNALS}{name}")))
    }

    /// The resource's attributes that were given, decoded.
    pub(crate) fn attributes(&self) -> Vec<(String, String)> {
        self.get("OTEL_RESOURCE_ATTRIBUTES").and_then(pairs).unwrap_or_default()
    }
}

fn check(name: &str, value: &str) -> Result<(), String> {
    let general = SIGNALS.iter().find_map(|signal| {
        let rest = name.strip_prefix(OF_SIGNALS)?.strip_prefix(signal)?.strip_prefix('_')?;
        Some(format!("{OF_SIGNALS}{rest}"))
    });
    let find = |name: &str| VARIABLES.iter().find(|variable| variable.name == name);
    // Others may have variables that begin so.
    match find(name).or_else(|| find(&general?)) {
        Some(variable) => variable.value.check(value).map_err(|must| {
            if matches!(variable.value, Value::Refused) { format!("{must}: {}", variable.meaning) } else { must }
        }),
        None => Ok(()),
    }
}

impl Value {
    fn check(&self, value: &str) -> Result<(), String> {
        let (good, must) = match self {
            Self::Refused => (false, "it does nothing here".to_owned()),
            Self::OneOf(all) => (all.contains(&value), format!("must be {}", all.join(" or "))),
            Self::Text => (true, String::new()),
            Self::Boolean => {
                let good = ["true", "false"].iter().any(|one| value.eq_ignore_ascii_case(one));
                (good, "must be true or false".to_owned())
            }
            Self::Count => (value.parse::<u32>().is_ok_and(|n| n > 0), "must be a whole number above 0".to_owned()),
            Self::Milliseconds => (value.parse::<u32>().is_ok(), "must be milliseconds, a whole number".to_owned()),
            Self::Ratio => {
                let good = value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
                (good, "must be a number from 0 to 1".to_owned())
            }
            Self::Endpoint => (is_endpoint(value), "must be such as http://collector:4317".to_owned()),
            Self::Headers => {
                let usable = |(name, value): &(String, String)| {
                    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
                };
                let good = pairs(value).is_some_and(|all| all.iter().all(usable));
                // A header is a secret as a rule: what it was is not said.
                (good, "must be name=value between commas, percent-encoded".to_owned())
            }
            Self::Attributes => {
                (pairs(value).is_some(), "must be key=value between commas, percent-encoded".to_owned())
            }
        };
        if good { Ok(()) } else { Err(must) }
    }
}

fn is_endpoint(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else { return false };
    uri.authority().is_some() && uri.scheme_str().is_none_or(|scheme| scheme == "http" || scheme == "https")
}

/// Reads `key=value` between commas; both are percent-encoded UTF-8 (W3C Baggage, as the specification has it).
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((decoded(key).filter(|key| !key.is_empty())?, decoded(value)?))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

/// The table of the variables, in Markdown.
#[cfg(test)]
pub(crate) fn table() -> String {
    use std::fmt::Write as _;

    let mut table = String::from("| variable | values | |\n|---|---|---|\n");
    for Variable { name, value, meaning } in &VARIABLES {
        let values = match value {
            Value::Refused => "**refused**".to_owned(),
            Value::Text => "text".to_owned(),
            Value::OneOf(all) => all.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" "),
            other => other.check("?").err().unwrap_or_default().trim_start_matches("must be ").to_owned(),
        };
        let _ = writeln!(table, "| `{name}` | {values} | {meaning} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Variables, String> {
        let all = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Variables::of(all).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_name() {
        for (name, value, why) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "must be grpc or http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "udp", "must be grpc or http/protobuf"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector", "must be such as http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces", "must be such as http://collector:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "must be name=value between commas, percent-encoded"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "10s", "must be milliseconds, a whole number"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "must be a whole number above 0"),
            ("OTEL_TRACES_SAMPLER_ARG", "2", "must be a number from 0 to 1"),
            ("OTEL_SDK_DISABLED", "yes", "must be true or false"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "must be key=value between commas, percent-encoded"),
            ("OTEL_PROPAGATORS", "b3", "must be tracecontext"),
            ("OTEL_LOG_LEVEL", "debug", "it does nothing here: say it in `telemetry.log`"),
        ] {
            let error = read(&[(name, value)]).map(|_| ()).unwrap_err();
            assert_eq!(error, format!("{name} cannot be used: {why}"));
        }
    }

    #[test]
    fn what_is_empty_or_not_ours_is_nothing() {
        let read = read(&[("OTEL_SERVICE_NAME", " "), ("OTEL_SDK_DISABLED", ""), ("OTEL_GO_X_THING", "?")]).unwrap();
        assert_eq!((read.get("OTEL_SERVICE_NAME"), read.get("OTEL_SDK_DISABLED")), (None, None));
    }

    #[test]
    fn a_signals_own_comes_before_what_is_for_all() {
        let read = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "collector:4317"),
        ]);
        let read = read.unwrap();
        assert_eq!(read.of_signal("LOGS", "ENDPOINT"), Some("collector:4317"));
        assert_eq!(read.of_signal("TRACES", "ENDPOINT"), Some("http://all:4317"));
    }

    #[test]
    fn attributes_are_decoded() {
        let read = read(&[("OTEL_RESOURCE_ATTRIBUTES", "team=night%20watch, k8s.pod.name = a%2Cb ,")]).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read.attributes(), [pair("team", "night watch"), pair("k8s.pod.name", "a,b")]);
    }
}
