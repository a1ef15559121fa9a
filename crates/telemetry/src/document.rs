//! docs/telemetry.md, from the registry and the table of variables.

use std::fmt::Write as _;

use semconv::{Attribute, Kind, Type, Values, attributes, metrics, spans};

use crate::otlp;

const HEAD: &str = "\
# Telemetry

Everything that the services say of themselves, written from `crates/semconv` and `crates/telemetry` by a test.
*Stable* and *development* are names of OpenTelemetry's semantic conventions 1.44, *own* are ours.

The admin port of each service shows its metrics at `/metrics`, in Prometheus' text format; spans, metrics and log records
go over OTLP where the [variables](#the-otel-variables) say so. What does not stand here is not exported, an attribute of a
metric that does not stand here is left out, and a metric has at most 1,000 series: what comes after them is counted in one,
with `otel_metric_overflow=\"true\"`.
";

const VARIABLES: &str = "\
Each variable that the OpenTelemetry specification calls stable is here, from `crates/telemetry/src/otlp/variables.rs`.
What begins with `OTEL_EXPORTER_OTLP_` may be said for one signal, too: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
What cannot be used stops the start with a message that names it.
";

const SPANS: &str = "\
What stands in braces is the value of that attribute. What waited in a database is done in a trace of its own, which is linked
to its cause.

Receiving has no span: a fetch waits for what comes, so its span would be as long as nothing came, and sampling would keep it
for being slow. `messaging.client.operation.duration` measures it.
";

fn names(attributes: &[&Attribute]) -> String {
    attributes.iter().map(|attribute| format!("`{}`", attribute.name)).collect::<Vec<_>>().join(" ")
}

fn metrics_table() -> String {
    let mut table =
        "| metric, and at Prometheus | | unit | attributes | | from |\n|---|---|---|---|---|---|\n".to_owned();
    for metric in metrics::all() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::UpDownCounter => "up-down counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = if metric.unit.is_empty() { String::new() } else { format!("`{}`", metric.unit) };
        let (name, prometheus, attributes) = (metric.name, metric.prometheus_name(), names(metric.attributes));
        let (description, stability, from) = (metric.description, metric.stability, metric.emitted_by);
        let _ = writeln!(
            table,
            "| `{name}`<br>{prometheus} | {description} | {unit} {kind} | {attributes} | {stability} | {from} |"
        );
    }
    table
}

fn spans_table() -> String {
    let mut table = "| span | | kind | attributes | | from |\n|---|---|---|---|---|---|\n".to_owned();
    for span in spans::all() {
        let (name, description, kind, attributes) = (span.name, span.description, span.kind, names(span.attributes));
        let (stability, from) = (span.stability, span.emitted_by);
        let _ = writeln!(table, "| `{name}` | {description} | {kind} | {attributes} | {stability} | {from} |");
    }
    table
}

fn attributes_table() -> String {
    let mut table = "| attribute | | type | values | |\n|---|---|---|---|---|\n".to_owned();
    for attribute in attributes::ALL {
        let of_type = match attribute.of_type {
            Type::Text => "text",
            Type::Integer => "integer",
            Type::Boolean => "boolean",
        };
        let values = match attribute.values {
            Values::OneOf(all) => all.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(" "),
            Values::Few(example) => format!("few, such as `{example}`"),
            Values::Any => "any; on spans only".to_owned(),
        };
        let (name, description, stability) = (attribute.name, attribute.description, attribute.stability);
        let _ = writeln!(table, "| `{name}` | {description} | {of_type} | {values} | {stability} |");
    }
    table
}

#[test]
fn the_document_is_what_the_code_says() {
    let sections = [
        ("Metrics", metrics_table()),
        ("Spans", format!("{SPANS}\n{}", spans_table())),
        ("Attributes", attributes_table()),
        ("The OTEL variables", format!("{VARIABLES}\n{}", otlp::table())),
    ];
    let sections = sections.map(|(title, text)| format!("\n## {title}\n\n{text}"));
    testkit::committed("docs/telemetry.md", &format!("{HEAD}{}", sections.concat()));
}
