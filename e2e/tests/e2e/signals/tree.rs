//! The tree of one trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use serde_json::Value as Json;

use crate::export::collector::Seen;

/// Which service's span stands under which other service's in the trace of one order: the calls, and the events over the bus.
pub(crate) const EDGES: [(&str, &str, &str); 5] = [
    ("", "order", "POST /v1/orders"),
    ("order", "payment", "payment.v1.PaymentService/Authorize"),
    ("order", "payment", "payment.v1.PaymentService/CheckToken"),
    ("order", "user", "process order.confirmed.v1"),
    ("payment", "order", "process payment.authorized.v1"),
];

/// What has to be in it, by service; the last word stands under the first, at any depth.
pub(crate) const PARTS: [(&str, &str, &str); 13] = [
    ("order", "POST /v1/orders", "place_order"),
    ("order", "place_order", "redis.set"),
    ("order", "POST /v1/orders", "payment.v1.PaymentService/Authorize"),
    ("order", "POST /v1/orders", "INSERT outbox"),
    ("order", "process payment.authorized.v1", "ack payment.authorized.v1"),
    ("payment", "payment.v1.PaymentService/Authorize", "lock.acquire"),
    ("payment", "payment.v1.PaymentService/Authorize", "INSERT outbox"),
    ("payment", "payment.v1.PaymentService/Authorize", "COMMIT"),
    ("user", "process order.confirmed.v1", "service.count_order"),
    ("user", "process order.confirmed.v1", "INSERT inbox"),
    ("user", "process order.confirmed.v1", "ack order.confirmed.v1"),
    ("user", "process order.confirmed.v1", "process user.send_mail.v1"),
    ("user", "process user.send_mail.v1", "service.send_notification"),
];

/// A span of it.
struct Node {
    service: String,
    name: String,
    parent: String,
    state: String,
    canary: bool,
}

/// The spans of a trace, by their ids.
pub(crate) struct Trace(BTreeMap<String, Node>);

pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether a span has the mark.
fn is_canary(span: &Span) -> bool {
    let mark = span.attributes.iter().find(|attribute| attribute.key == "canary");
    mark.and_then(|mark| mark.value.as_ref()?.value.as_ref()) == Some(&Value::BoolValue(true))
}

impl Trace {
    /// Out of what a collector has seen.
    pub(crate) fn of(seen: &Seen, trace: &str) -> Self {
        let of_it = seen.spans.iter().filter(|span| hex(&span.trace_id) == trace);
        let node = |span: &Span| Node {
            service: seen.service(span),
            name: span.name.clone(),
            parent: hex(&span.parent_span_id),
            state: span.trace_state.clone(),
            canary: is_canary(span),
        };
        Self(of_it.map(|span| (hex(&span.span_id), node(span))).collect())
    }

    /// Out of an answer of Jaeger's API (v3): OTLP in JSON.
    pub(crate) fn of_json(answer: &Json) -> Self {
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let mut spans = BTreeMap::new();
        for process in list(&answer["result"]["resourceSpans"]) {
            let attributes = list(&process["resource"]["attributes"]);
            let named = attributes.iter().find(|attribute| attribute["key"] == "service.name");
            let service = named.map(|named| text(&named["value"]["stringValue"])).unwrap_or_default();
            for span in list(&process["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
                let mark = list(&span["attributes"]).into_iter().find(|attribute| attribute["key"] == "canary");
                let node = Node {
                    service: service.clone(),
                    name: text(&span["name"]),
                    parent: text(&span["parentSpanId"]),
                    state: text(&span["traceState"]),
                    canary: mark.is_some_and(|mark| mark["value"]["boolValue"] == true),
                };
                spans.insert(text(&span["spanId"]), node);
            }
        }
        Self(spans)
    }

    /// From which service to which a span leads, and that span: from nobody where its parent is not in the trace.
    pub(crate) fn edges(&self) -> BTreeSet<(&str, &str, &str)> {
        let edges = self.0.values().filter_map(|span| {
            let from = self.0.get(&span.parent).map_or("", |parent| parent.service.as_str());
            (from != span.service).then_some((from, span.service.as_str(), span.name.as_str()))
        });
        edges.collect()
    }

    /// Which edges and parts are not there yet.
    pub(crate) fn missing(&self, edges: &[(&str, &str, &str)], parts: &[(&str, &str, &str)]) -> Vec<String> {
        let there = self.edges();
        let edges = edges.iter().filter(|edge| !there.contains(*edge));
        let edges = edges.map(|(from, to, span)| format!("{from} -> {to}: {span}"));
        let parts = parts.iter().filter(|(service, above, span)| !self.has(service, above, span));
        edges.chain(parts.map(|(service, above, span)| format!("{service}: {span} under {above}"))).collect()
    }

    /// Whether the service has such a span somewhere under the other.
    fn has(&self, service: &str, above: &str, name: &str) -> bool {
        self.0.values().any(|span| span.service == service && span.name == name && self.is_under(span, above))
    }

    fn is_under(&self, span: &Node, name: &str) -> bool {
        let parent = self.0.get(&span.parent);
        parent.is_some_and(|parent| parent.name == name || self.is_under(parent, name))
    }

    /// The parents of a name's spans, which need not be in the trace.
    pub(super) fn parents<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.values().filter(move |span| span.name == name).map(|span| span.parent.as_str())
    }

    /// The trace state of each span.
    pub(super) fn states(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|span| span.state.as_str())
    }

    /// Whether each span that leads from one service to another, or from outside, has the canary mark.
    pub(crate) fn is_marked(&self) -> bool {
        let service = |id: &str| self.0.get(id).map(|span| span.service.as_str());
        let mut entries = self.0.values().filter(|span| service(&span.parent) != Some(span.service.as_str()));
        entries.all(|span| span.canary)
    }

    /// Whether the service has a span of this name in a trace of its own, linked to one of its own in this.
    pub(super) fn is_linked_from(&self, seen: &Seen, service: &str, name: &str) -> bool {
        let own = |id: &[u8]| self.0.get(&hex(id)).is_some_and(|span| span.service == service);
        seen.spans.iter().any(|span| {
            let linked = span.links.iter().any(|link| own(&link.span_id));
            let is_root = span.parent_span_id.is_empty() && !self.0.contains_key(&hex(&span.span_id));
            span.name == name && linked && is_root && seen.service(span) == service
        })
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, parent: &str, depth: usize) -> fmt::Result {
        for (id, span) in &self.0 {
            let is_root = parent.is_empty() && !self.0.contains_key(&span.parent);
            if is_root || (!parent.is_empty() && span.parent == parent) {
                writeln!(f, "{:depth$}{}: {}", "", span.service, span.name)?;
                self.draw(f, id, depth + 2)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw(f, "", 0)
    }
}
