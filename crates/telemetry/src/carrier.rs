//! What travels from hop to hop, and its forms in HTTP, gRPC and stored rows.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::SpanContext;
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;

use crate::traceparent;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const CANARY: HeaderName = HeaderName::from_static("x-canary");
/// Longest `tracestate` that is passed on (W3C Trace Context, section 3.3.1.5, asks for at least this).
const TRACESTATE_LIMIT: usize = 512;

/// Trace context and canary mark: what HTTP headers, gRPC metadata, outbox rows and messages carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// W3C `traceparent`.
    pub traceparent: Option<String>,
    /// W3C `tracestate`.
    pub tracestate: Option<String>,
    /// Whether version 2 shall handle it.
    pub canary: bool,
}

impl Carrier {
    /// Reads HTTP headers. A malformed `traceparent` is ignored, with its `tracestate`; only the exact `x-canary: true`
    /// is a canary.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let traceparent = text(TRACEPARENT).filter(|header| traceparent::parse(header, None).is_some());
        let tracestate = text(TRACESTATE).filter(|state| traceparent.is_some() && state.len() <= TRACESTATE_LIMIT);
        Self {
            traceparent: traceparent.map(str::to_owned),
            tracestate: tracestate.map(str::to_owned),
            canary: text(CANARY) == Some("true"),
        }
    }

    /// Reads gRPC metadata.
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        Self::from_headers(metadata.as_ref())
    }

    /// Writes into HTTP headers.
    pub fn inject(&self, headers: &mut HeaderMap) {
        for (name, value) in self.pairs() {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// Writes into gRPC metadata.
    pub fn inject_metadata(&self, metadata: &mut MetadataMap) {
        let mut headers = std::mem::take(metadata).into_headers();
        self.inject(&mut headers);
        *metadata = MetadataMap::from_headers(headers);
    }

    fn pairs(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let traceparent = self.traceparent.as_deref().map(|value| (TRACEPARENT, value));
        let tracestate = self.tracestate.as_deref().map(|value| (TRACESTATE, value));
        let canary = self.canary.then_some((CANARY, "true"));
        traceparent.into_iter().chain(tracestate).chain(canary)
    }

    /// The remote span, where there is a valid one.
    pub(crate) fn remote(&self) -> Option<SpanContext> {
        traceparent::parse(self.traceparent.as_deref()?, self.tracestate.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn goes_through_headers_and_metadata() {
        let carrier = Carrier { traceparent: Some(PARENT.into()), tracestate: Some("a=b".into()), canary: true };
        let mut map = HeaderMap::new();
        carrier.inject(&mut map);
        assert_eq!(Carrier::from_headers(&map), carrier);
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "1S".parse().unwrap());
        carrier.inject_metadata(&mut metadata);
        assert_eq!(Carrier::from_metadata(&metadata), carrier);
        assert!(metadata.get("grpc-timeout").is_some(), "what was there stays");
    }

    #[test]
    fn only_the_exact_word_is_a_canary() {
        for value in ["TRUE", "1", "true ", "false", ""] {
            assert!(!Carrier::from_headers(&headers(&[("x-canary", value)])).canary, "{value}");
        }
        assert!(Carrier::from_headers(&headers(&[("x-canary", "true")])).canary);
    }

    #[test]
    fn a_malformed_parent_takes_its_state_with_it() {
        let read = Carrier::from_headers(&headers(&[("traceparent", "00-x"), ("tracestate", "a=b")]));
        assert_eq!(read, Carrier::default());
    }
}
