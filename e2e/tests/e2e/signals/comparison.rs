//! What was told, against the registry: names, units, kinds and attributes, in both directions.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data},
    trace::v1::{Span, span::SpanKind as Told},
};
use semconv::{Attribute, Definition, Kind, SpanKind, Values, metrics, spans};

use crate::export::collector::Seen;

/// What a run has no occasion to tell, and why.
const NOWHERE: [(&str, &str); 5] = [
    ("cache.unreadable", "a value of another version would have to be in the store"),
    ("cache.fill.refused", "a load would have to be overtaken by a write"),
    ("lock.renew.failures", "a lock would have to be held for longer than its lease while Redis is away"),
    ("lock.fence.rejected", "a lock would have to be lost while it is held"),
    ("order.stream.too_slow", "hundreds of events would have to wait for one client"),
];

/// What only servers have.
const ON_SERVERS: [(&str, &str); 9] = [
    ("order.search.failures", "there has to be a search server, whose failures are counted from the start"),
    ("cache.errors", "what is in memory answers always"),
    ("cache.backplane.received", "there is no backplane in memory"),
    ("cache.backplane.broken", "there is no backplane in memory"),
    ("cache.backplane.sent", "there is no backplane in memory"),
    ("cache.backplane.lag", "there is no backplane in memory"),
    ("cache.breaker.state", "what is in memory needs no circuit breaker"),
    ("cache.quarantine", "what is in memory ends with its process"),
    ("cache.journal", "what is in memory ends with its process"),
];

/// Attributes that not everything has that may have them.
const SOMETIMES: [&str; 3] = ["error.type", "canary", "graphql.operation.name"];
/// What a broker is asked, as far as nothing fails.
const OPERATIONS: [&str; 3] = ["send", "receive", "ack"];

/// What the registry has and nobody told, and what was told though it is said that it would not be.
pub(super) fn missing(seen: &Seen, on_servers: bool) -> Vec<String> {
    let told: Vec<(SpanKind, &Span)> = seen.spans.iter().map(|span| (kind(span), span)).collect();
    let told_as = |span: &semconv::Span| -> Vec<&Span> {
        let is_one = |kind, told: &Span| kind == span.kind && span.is_named(&told.name, |key| value(told, key));
        told.iter().filter(|(kind, told)| is_one(*kind, told)).map(|(_, told)| *told).collect()
    };
    let measured_with = |metric: &Definition| {
        let told = seen.measured.iter().filter(|told| told.name == metric.name);
        told.flat_map(|told| points(told).1).map(|attribute| attribute.key).collect::<BTreeSet<_>>()
    };
    let mut missing = Vec::new();
    // Spans have the same names on all stores, and are looked at on the embedded ones.
    for span in spans::all().filter(|_| !on_servers) {
        let told = told_as(span);
        let with = told.iter().flat_map(|told| &told.attributes).map(|attribute| attribute.key.clone()).collect();
        missing.extend(fault(span.name, (!told.is_empty(), with), span.attributes, on_servers));
    }
    for metric in metrics::all() {
        let is_told = seen.metrics.contains(metric.name);
        missing.extend(fault(metric.name, (is_told, measured_with(metric)), metric.attributes, on_servers));
    }
    let operations = seen.measured.iter().filter(|told| told.name == metrics::MESSAGING_CLIENT_OPERATION_DURATION.name);
    let operations: BTreeSet<_> = operations.flat_map(|told| points(told).1).filter_map(|one| text(&one)).collect();
    missing.extend(OPERATIONS.into_iter().filter(|name| !operations.contains(*name)).map(str::to_owned));
    missing
}

/// What is wrong with a name that was told or not, with these attributes.
fn fault(
    name: &str,
    (is_told, with): (bool, BTreeSet<String>),
    listed: &[&Attribute],
    on_servers: bool,
) -> Vec<String> {
    let is_in = |list: &[(&str, &str)]| list.iter().any(|(of, _)| *of == name);
    let has_occasion = !is_in(&NOWHERE) && (on_servers || !is_in(&ON_SERVERS));
    match (is_told, has_occasion) {
        (false, false) => Vec::new(),
        (false, true) => vec![name.to_owned()],
        (true, false) => vec![format!("{name} is told")],
        (true, true) => {
            let always = listed.iter().filter(|attribute| !SOMETIMES.contains(&attribute.name));
            let missing = always.filter(|attribute| !with.contains(attribute.name));
            missing.map(|attribute| format!("{name}: {}", attribute.name)).collect()
        }
    }
}

/// What was told and is not, or not so, in the registry.
pub(super) fn unknown(seen: &Seen) -> BTreeSet<String> {
    seen.spans.iter().flat_map(faults_of_span).chain(seen.measured.iter().flat_map(faults_of_metric)).collect()
}

fn faults_of_span(told: &Span) -> Vec<String> {
    let kind = kind(told);
    let mut known = spans::all().filter(|span| span.kind == kind && span.is_named(&told.name, |key| value(told, key)));
    let Some(span) = known.next() else { return vec![format!("span {} ({kind})", told.name)] };
    faults(span.name, span.attributes, told.attributes.iter())
}

fn faults_of_metric(told: &Metric) -> Vec<String> {
    let Some(metric) = metrics::find(&told.name) else { return vec![format!("metric {}", told.name)] };
    let mut all = Vec::new();
    if told.unit != metric.unit || told.description != metric.description {
        all.push(format!("{}: {:?} {}", told.name, told.unit, told.description));
    }
    let (kind, attributes) = points(told);
    if kind != Some(metric.kind) {
        all.push(format!("{}: a {kind:?}", told.name));
    }
    all.extend(faults(metric.name, metric.attributes, attributes.iter()));
    all
}

fn points(told: &Metric) -> (Option<Kind>, Vec<KeyValue>) {
    match &told.data {
        Some(Data::Gauge(gauge)) => {
            (Some(Kind::Gauge), gauge.data_points.iter().flat_map(|point| point.attributes.clone()).collect())
        }
        Some(Data::Sum(sum)) => {
            let kind = if sum.is_monotonic { Kind::Counter } else { Kind::UpDownCounter };
            (Some(kind), sum.data_points.iter().flat_map(|point| point.attributes.clone()).collect())
        }
        Some(Data::Histogram(histogram)) => {
            (Some(Kind::Histogram), histogram.data_points.iter().flat_map(|point| point.attributes.clone()).collect())
        }
        _ => (None, Vec::new()),
    }
}

/// Attributes that are not listed, and values that are none of those that are.
fn faults<'a>(name: &str, listed: &[&Attribute], told: impl Iterator<Item = &'a KeyValue>) -> Vec<String> {
    let fault = |told: &KeyValue| {
        let Some(attribute) = listed.iter().find(|attribute| attribute.name == told.key) else {
            return Some(format!("{name}: attribute {}", told.key));
        };
        let value = text(told)?;
        let Values::OneOf(all) = attribute.values else { return None };
        (!all.contains(&value.as_str())).then(|| format!("{name}: {} is {value}", told.key))
    };
    told.filter_map(fault).collect()
}

fn text(attribute: &KeyValue) -> Option<String> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn value(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key == key).and_then(text)
}

fn kind(span: &Span) -> SpanKind {
    match span.kind() {
        Told::Server => SpanKind::Server,
        Told::Client => SpanKind::Client,
        Told::Producer => SpanKind::Producer,
        Told::Consumer => SpanKind::Consumer,
        Told::Internal | Told::Unspecified => SpanKind::Internal,
    }
}

/// Families of a scrape that are no metric of the registry.
pub(super) fn unknown_at_prometheus(scrape: &str) -> Vec<String> {
    let known: BTreeSet<String> = metrics::all().map(Definition::prometheus_name).collect();
    let families = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    families.filter(|family| *family != "target_info" && !known.contains(*family)).map(str::to_owned).collect()
}
