//! Recent spans: the finished ones that this process keeps for whoever asks at the admin port. Off unless
//! `telemetry.recent_spans` says how many; in bytes they are bounded, too.

mod json;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, KeyValue, trace::TraceId};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use serde_json::Value;

/// What the spans may take on average; a ring with longer ones keeps fewer.
const BYTES_PER_SPAN: usize = 1024;
/// What one answer has at most.
const MAX_FOUND: usize = 1_000;

static RECENT: OnceLock<Recent> = OnceLock::new();

/// The recent spans of a trace, and those of others that are linked to it, the oldest first, as OTLP's JSON.
///
/// `trace_id`: 32 hexadecimal digits. `None` where none are kept.
pub fn of_trace(trace_id: &str) -> Option<Value> {
    let wanted = TraceId::from_hex(trace_id).ok().filter(|_| trace_id.len() == 32);
    let linked = |span: &SpanData| span.links.iter().any(|link| Some(link.span_context.trace_id()) == wanted);
    RECENT.get().map(|recent| recent.find(|span| Some(span.span_context.trace_id()) == wanted || linked(span)))
}

/// The recent spans that have all these attributes, the oldest first, as OTLP's JSON. `None` where none are kept.
pub fn with_attributes(attributes: &[(String, String)]) -> Option<Value> {
    let has = |span: &SpanData, (key, value): &(String, String)| {
        span.attributes.iter().any(|own| own.key.as_str() == key && own.value.as_str() == *value)
    };
    RECENT.get().map(|recent| recent.find(|span| attributes.iter().all(|pair| has(span, pair))))
}

/// Begins to keep the last `limit` spans of this process.
pub(crate) fn keep(limit: usize, resource: Resource) -> Keeper {
    Keeper(RECENT.get_or_init(|| Recent { limit, resource, kept: Mutex::default() }))
}

/// A ring of spans.
#[derive(Debug)]
struct Recent {
    limit: usize,
    resource: Resource,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each with its size.
    spans: VecDeque<(Arc<SpanData>, usize)>,
    bytes: usize,
}

impl Recent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, span: SpanData) {
        let (size, mut kept) = (size(&span), self.kept());
        kept.bytes += size;
        kept.spans.push_back((Arc::new(span), size));
        while kept.spans.len() > self.limit || kept.bytes > self.limit * BYTES_PER_SPAN {
            let Some((_, size)) = kept.spans.pop_front() else { return };
            kept.bytes -= size;
        }
    }

    fn find(&self, wanted: impl Fn(&SpanData) -> bool) -> Value {
        let found: Vec<_> = {
            let kept = self.kept();
            let spans = kept.spans.iter().map(|(span, _)| span).filter(|span| wanted(span));
            spans.rev().take(MAX_FOUND).cloned().collect()
        };
        json::document(&self.resource, found.iter().rev().map(AsRef::as_ref))
    }
}

/// What a span takes in memory, about.
fn size(span: &SpanData) -> usize {
    let attributes = |all: &[KeyValue]| -> usize {
        let texts = all.iter().map(|own| own.key.as_str().len() + own.value.as_str().len());
        size_of_val(all) + texts.sum::<usize>()
    };
    let events = span.events.iter().map(|event| size_of_val(event) + event.name.len() + attributes(&event.attributes));
    let links = span.links.iter().map(|link| size_of_val(link) + attributes(&link.attributes));
    size_of::<SpanData>() + span.name.len() + attributes(&span.attributes) + events.chain(links).sum::<usize>()
}

/// Hands finished spans to the ring.
#[derive(Debug)]
pub(crate) struct Keeper(&'static Recent);

impl SpanProcessor for Keeper {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::{
        InstrumentationScope,
        trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn context(trace: u128, span: u64) -> SpanContext {
        let ids = (TraceId::from(trace), SpanId::from(span));
        SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, false, TraceState::default())
    }

    fn span(number: u64, attributes: Vec<KeyValue>) -> SpanData {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        SpanData {
            span_context: context(1, number),
            parent_span_id: SpanId::from(7),
            parent_span_is_remote: false,
            span_kind: SpanKind::Server,
            name: "GET /".into(),
            start_time: start,
            end_time: start + Duration::from_nanos(5),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error("disk full"),
            instrumentation_scope: InstrumentationScope::builder("trireme").build(),
        }
    }

    fn ring(limit: usize) -> Recent {
        let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "order")).build();
        Recent { limit, resource, kept: Mutex::default() }
    }

    fn ids(found: &Value) -> Vec<String> {
        let spans = found["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default();
        spans.iter().map(|span| span["spanId"].as_str().unwrap().trim_start_matches('0').to_owned()).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        let ring = ring(3);
        (1..=9).for_each(|number| ring.push(span(number, Vec::new())));
        assert_eq!(ids(&ring.find(|_| true)), ["7", "8", "9"]);
    }

    #[test]
    fn long_ones_take_the_places_of_others() {
        let (ring, long) = (ring(10), KeyValue::new("text", "x".repeat(4 * BYTES_PER_SPAN)));
        (1..=9).for_each(|number| ring.push(span(number, vec![long.clone()])));
        assert_eq!(ids(&ring.find(|_| true)), ["8", "9"]);
        ring.push(span(10, vec![KeyValue::new("text", "x".repeat(11 * BYTES_PER_SPAN))]));
        assert_eq!(ids(&ring.find(|_| true)), [""; 0], "one that has no place at all");
        assert_eq!(ring.kept().bytes, 0);
    }

    #[test]
    fn an_answer_is_bounded() {
        let ring = ring(2 * MAX_FOUND);
        (1..=MAX_FOUND as u64 + 1).for_each(|number| ring.push(span(number, Vec::new())));
        let found = ids(&ring.find(|_| true));
        assert_eq!((found.len(), found[0].as_str()), (MAX_FOUND, "2"));
    }

    /// Member for member as "JSON Protobuf Encoding" of the OTLP specification has it.
    #[test]
    fn a_span_is_shown_as_otlp_has_it() {
        let ring = ring(1);
        let mut shown = span(255, vec![KeyValue::new("order.id", "o1"), KeyValue::new("attempt", 2)]);
        shown.links.links = vec![Link::with_context(context(2, 3))];
        ring.push(shown);
        let expected = serde_json::json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "order"}}]},
            "scopeSpans": [{"scope": {"name": "trireme"}, "spans": [{
                "traceId": "00000000000000000000000000000001",
                "spanId": "00000000000000ff",
                "parentSpanId": "0000000000000007",
                "name": "GET /",
                "kind": 2,
                "startTimeUnixNano": "255000000000",
                "endTimeUnixNano": "255000000005",
                "attributes": [
                    {"key": "order.id", "value": {"stringValue": "o1"}},
                    {"key": "attempt", "value": {"intValue": "2"}},
                ],
                "events": [],
                "links": [{"traceId": "00000000000000000000000000000002", "spanId": "0000000000000003"}],
                "status": {"code": 2, "message": "disk full"},
            }]}],
        }]});
        assert_eq!(ring.find(|_| true), expected);
    }
}
