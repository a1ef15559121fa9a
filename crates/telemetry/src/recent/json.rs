//! Spans as OTLP's JSON ("JSON Protobuf Encoding" of the specification): ids in hexadecimal, 64-bit numbers as text,
//! enumerations as numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{
    KeyValue,
    trace::{SpanId, SpanKind, Status},
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use serde_json::{Value, json};

/// The whole message, of one process.
pub(super) fn document<'a>(resource: &Resource, spans: impl Iterator<Item = &'a SpanData>) -> Value {
    let spans: Vec<_> = spans.map(span).collect();
    if spans.is_empty() {
        return json!({"resourceSpans": []});
    }
    let resource: Vec<_> = resource.iter().map(|(key, value)| attribute(key.as_str(), value)).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "trireme"}, "spans": spans}],
    }]})
}

fn span(span: &SpanData) -> Value {
    let parent = Some(span.parent_span_id).filter(|id| *id != SpanId::INVALID);
    let events = span.events.iter().map(|event| {
        json!({
            "timeUnixNano": nanos(event.timestamp),
            "name": event.name,
            "attributes": attributes(&event.attributes),
        })
    });
    let links = span.links.iter().map(|link| {
        let (trace, span) = (link.span_context.trace_id(), link.span_context.span_id());
        json!({"traceId": trace.to_string(), "spanId": span.to_string()})
    });
    json!({
        "traceId": span.span_context.trace_id().to_string(),
        "spanId": span.span_context.span_id().to_string(),
        "parentSpanId": parent.map(|id| id.to_string()).unwrap_or_default(),
        "name": span.name,
        "kind": kind(&span.span_kind),
        "startTimeUnixNano": nanos(span.start_time),
        "endTimeUnixNano": nanos(span.end_time),
        "attributes": attributes(&span.attributes),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "status": status(&span.status),
    })
}

fn attributes(all: &[KeyValue]) -> Vec<Value> {
    all.iter().map(|own| attribute(own.key.as_str(), &own.value)).collect()
}

fn attribute(key: &str, value: &opentelemetry::Value) -> Value {
    use opentelemetry::Value::{Bool, F64, I64};
    let value = match value {
        Bool(value) => json!({"boolValue": value}),
        I64(value) => json!({"intValue": value.to_string()}),
        F64(value) => json!({"doubleValue": value}),
        // Nothing here has lists; whatever comes is text at least.
        other => json!({"stringValue": other.as_str()}),
    };
    json!({"key": key, "value": value})
}

/// `opentelemetry.proto.trace.v1.Span.SpanKind`.
fn kind(kind: &SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// `opentelemetry.proto.trace.v1.Status`.
fn status(status: &Status) -> Value {
    match status {
        Status::Unset => json!({}),
        Status::Ok => json!({"code": 1}),
        Status::Error { description } => json!({"code": 2, "message": description}),
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
