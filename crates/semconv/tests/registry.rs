//! The registry keeps its own rules.

#![allow(clippy::unwrap_used)] // tests

use std::collections::HashSet;

use semconv::{Kind, Stability, Values, attributes, metrics, spans};

/// OpenTelemetry's rule for names: words of small letters and digits, with `_` in them and `.` between them.
fn is_name(name: &str) -> bool {
    name.split('.').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

#[test]
fn names_are_well_formed_and_used_once() {
    let mut seen = HashSet::new();
    for name in metrics::all().map(|metric| metric.name).chain(attributes::ALL.iter().map(|one| one.name)) {
        assert!(is_name(name), "{name}");
        assert!(seen.insert(name), "{name} stands here twice");
    }
    let mut at_prometheus = HashSet::new();
    assert!(metrics::all().all(|metric| at_prometheus.insert(metric.prometheus_name())));
    let mut named = HashSet::new();
    assert!(spans::all().all(|span| named.insert((span.name, span.kind.to_string()))));
}

/// Each value of an attribute is a series: what has any number of them would make as many.
#[test]
fn metrics_have_only_attributes_of_few_values() {
    for metric in metrics::all() {
        for attribute in metric.attributes {
            assert!(attribute.values.are_few(), "{} has {}", metric.name, attribute.name);
        }
    }
}

#[test]
fn no_attribute_stands_here_for_nothing() {
    let of_metrics = metrics::all().flat_map(|metric| metric.attributes);
    let used: HashSet<&str> =
        of_metrics.chain(spans::all().flat_map(|span| span.attributes)).map(|attribute| attribute.name).collect();
    for attribute in attributes::ALL {
        assert!(used.contains(attribute.name), "{}", attribute.name);
    }
}

#[test]
fn histograms_have_bounds_in_order_and_others_none() {
    for metric in metrics::all() {
        assert_eq!(metric.kind == Kind::Histogram, !metric.bounds.is_empty(), "{}", metric.name);
        assert!(metric.bounds.is_sorted_by(|a, b| a < b), "{}", metric.name);
    }
}

#[test]
fn units_are_codes_or_what_is_counted() {
    for metric in metrics::all() {
        let counted = metric.unit.starts_with('{') && metric.unit.ends_with('}');
        assert!(counted || ["", "1", "s", "By"].contains(&metric.unit), "{}: {}", metric.name, metric.unit);
    }
}

#[test]
fn what_is_in_the_name_of_a_span_is_an_attribute_of_it() {
    for span in spans::all() {
        let parts = span.name.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0);
        for attribute in parts {
            assert!(span.attributes.iter().any(|one| one.name == attribute), "{}: {attribute}", span.name);
        }
        let value = |name: &str| Some(format!("<{name}>"));
        assert!(span.is_named(&span.name.replace('{', "<").replace('}', ">"), value), "{}", span.name);
        assert!(!span.is_named(span.name, |_| None) || !span.name.contains('{'));
    }
}

#[test]
fn examples_are_given_where_values_are_not_listed() {
    for attribute in attributes::ALL {
        match attribute.values {
            Values::OneOf(all) => assert!(!all.is_empty(), "{}", attribute.name),
            Values::Few(example) => assert!(!example.is_empty(), "{}", attribute.name),
            Values::Any => {}
        }
    }
    assert!(metrics::all().any(|metric| metric.stability == Stability::Stable));
}

#[test]
fn gauges_of_seconds_and_counters_are_named_as_prometheus_has_them() {
    let name = |name: &str| metrics::find(name).unwrap().prometheus_name();
    assert_eq!(name("http.server.request.duration"), "http_server_request_duration_seconds");
    assert_eq!(name("process.cpu.time"), "process_cpu_time_seconds_total");
    assert_eq!(name("order.status.changes"), "order_status_changes_total");
    assert_eq!(name("process.memory.usage"), "process_memory_usage_bytes");
}
