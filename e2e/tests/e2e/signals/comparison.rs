//! What was told, against the registry: names, units, kinds and attributes, in both directions.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data},
    trace::v1::{Span, span::SpanKind as Told},
};
use semconv::{Attribute, Definition, Kind, SpanKind, Values, metrics, spans};

use crate::export::collector::Seen;

/// What a run without faults on the embedded backends has no occasion to tell.
const NOT_HERE: [&str; 33] = [
    "cache.backplane.received",
    "cache.backplane.broken",
    "cache.backplane.sent",
    "cache.backplane.lag",
    "cache.breaker.state",
    "cache.quarantine",
    "cache.journal",
    "cache.errors",
    "cache.unreadable",
    "cache.fill.refused",
    "lock.renew.failures",
    "lock.fence.rejected",
    "order.unreadable",
    "order.stream.refused",
    "order.stream.too_slow",
    "order.stream.resumed",
    "order.stock.refusals",
    "auth.token.refusals",
    "service.refresh",
    "service.log_out",
    "service.revoke_session",
    "service.change_password",
    "service.request_password_reset",
    "service.reset_password",
    "service.verify_email",
    "service.set_disabled",
    "payment.get",
    "payment.list",
    "payment.audit",
    "payment.resolve",
    "payment.reconcile",
    "payment.refund",
    "order.sweep",
];

/// What the registry has and nobody told, and what was told though it is said that it would not be.
pub(super) fn missing(seen: &Seen) -> Vec<String> {
    let told: Vec<(SpanKind, &Span)> = seen.spans.iter().map(|span| (kind(span), span)).collect();
    let is_told = |span: &&semconv::Span| {
        told.iter().any(|(kind, told)| *kind == span.kind && span.is_named(&told.name, |key| value(told, key)))
    };
    let metrics = metrics::all().map(|metric| (metric.name, seen.metrics.contains(metric.name)));
    let all = metrics.chain(spans::all().map(|span| (span.name, is_told(&span))));
    let wrong = all.filter(|(name, told)| *told == NOT_HERE.contains(name));
    wrong.map(|(name, told)| if told { format!("{name} is told") } else { name.to_owned() }).collect()
}

/// What was told and is not, or not so, in the registry.
pub(super) fn unknown(seen: &Seen) -> BTreeSet<String> {
    seen.spans.iter().flat_map(faults_of_span).chain(seen.measured.iter().flat_map(faults_of_metric)).collect()
}

fn faults_of_span(told: &Span) -> Vec<String> {
    let kind = kind(told);
    let mut known = spans::all().filter(|span| span.kind == kind && span.is_named(&told.name, |key| value(told, key)));
    let Some(span) = known.next() else { return vec![format!("span {} ({kind})", told.name)] };
    // What the bridge from `tracing` adds to each.
    let own = told.attributes.iter().filter(|attribute| attribute.key != "target");
    faults(span.name, span.attributes, own)
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
