//! One trace of what the collector has seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::export::collector::Seen;

/// The spans of a trace, by their ids, each with its service.
pub(super) struct Trace(BTreeMap<Vec<u8>, (String, Span)>);

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Trace {
    pub(super) fn of(seen: &Seen, trace: &str) -> Self {
        let of_it = seen.spans.iter().filter(|span| hex(&span.trace_id) == trace);
        Self(of_it.map(|span| (span.span_id.clone(), (seen.service(span), span.clone()))).collect())
    }

    /// From which service to which a span leads, and that span: from nobody where its parent is not in the trace.
    pub(super) fn edges(&self) -> BTreeSet<(String, String, String)> {
        let edges = self.0.values().filter_map(|(service, span)| {
            let from = self.0.get(&span.parent_span_id).map(|(from, _)| from.clone()).unwrap_or_default();
            (from != *service).then(|| (from, service.clone(), span.name.clone()))
        });
        edges.collect()
    }

    /// Which edges and parts are not there yet.
    pub(super) fn missing(&self, edges: &[(&str, &str, &str)], parts: &[(&str, &str, &str)]) -> Vec<String> {
        let there = self.edges();
        let edge = |(from, to, span): &&(&str, &str, &str)| {
            !there.contains(&((*from).to_owned(), (*to).to_owned(), (*span).to_owned()))
        };
        let edges = edges.iter().filter(edge).map(|(from, to, span)| format!("{from} -> {to}: {span}"));
        let parts = parts.iter().filter(|(service, above, span)| !self.has(service, above, span));
        edges.chain(parts.map(|(service, above, span)| format!("{service}: {span} under {above}"))).collect()
    }

    /// Whether the service has such a span somewhere under the other.
    fn has(&self, service: &str, above: &str, name: &str) -> bool {
        self.0.values().any(|(of, span)| of == service && span.name == name && self.is_under(span, above))
    }

    fn is_under(&self, span: &Span, name: &str) -> bool {
        let parent = self.0.get(&span.parent_span_id);
        parent.is_some_and(|(_, parent)| parent.name == name || self.is_under(parent, name))
    }

    /// The trace state of each span.
    pub(super) fn states(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(_, span)| span.trace_state.as_str())
    }

    /// Whether the service has a span of another trace that is linked to one of its own in this.
    pub(super) fn is_linked_from(&self, seen: &Seen, service: &str, name: &str) -> bool {
        let own = |id: &Vec<u8>| self.0.get(id).is_some_and(|(of, _)| of == service);
        seen.spans.iter().any(|span| {
            let linked = span.links.iter().any(|link| own(&link.span_id));
            span.name == name && linked && !self.0.contains_key(&span.span_id) && seen.service(span) == service
        })
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, parent: &[u8], depth: usize) -> fmt::Result {
        for (service, span) in self.0.values() {
            let is_root = parent.is_empty() && !self.0.contains_key(&span.parent_span_id);
            if is_root || (!parent.is_empty() && span.parent_span_id == parent) {
                writeln!(f, "{:depth$}{service}: {}", "", span.name)?;
                self.draw(f, &span.span_id, depth + 2)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw(f, &[], 0)
    }
}
