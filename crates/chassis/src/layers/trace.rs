//! Span, access log, metrics and the context of one request.

use std::{
    collections::HashSet,
    error::Error as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use error::Error;
use http::{HeaderMap, HeaderValue, Method};
use opentelemetry::{KeyValue, metrics::Histogram};
use telemetry::Carrier;
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// The interface a request came in by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// What the semantic conventions call a name that is not known.
const OTHER: &str = "_OTHER";
/// Buckets in seconds that the semantic conventions advise for both durations.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn histogram(name: &'static str, description: &'static str) -> Histogram<f64> {
    let meter = telemetry::meter();
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(SECONDS.to_vec()).build()
}

static HTTP: LazyLock<Histogram<f64>> =
    LazyLock::new(|| histogram("http.server.request.duration", "Duration of HTTP server requests"));
static GRPC: LazyLock<Histogram<f64>> =
    LazyLock::new(|| histogram("rpc.server.call.duration", "Duration of inbound remote procedure calls"));

/// How requests are traced.
#[derive(Clone, Debug)]
pub(crate) struct Tracing {
    pub(crate) protocol: Protocol,
    /// The most that a request may take.
    pub(crate) limit: Duration,
    /// gRPC's methods, as `package.Service/Method`: other names are made up by clients and have no bound.
    pub(crate) methods: Arc<HashSet<String>>,
}

pub(crate) async fn trace(
    State(Tracing { protocol, limit, methods }): State<Tracing>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let carrier = Carrier::from_headers(request.headers());
    let deadline = start + waits(protocol, request.headers()).map_or(limit, |waits| waits.min(limit));
    let method = method(request.method());
    let route = route(protocol, &methods, &request);
    let span = protocol.span(method, &route);
    telemetry::scope(&carrier, Some(deadline), span.clone(), async {
        let response = next.run(request).await;
        match protocol {
            Protocol::Http => http_done(&span, method, &route, &response, start.elapsed()),
            Protocol::Grpc => grpc_done(&span, &route, &response, start.elapsed()),
        }
        response
    })
    .await
}

/// The methods that the semantic conventions know: others are made up by clients and have no bound.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

/// The route's pattern or the method's name, never the raw path: paths have no bound.
fn route(protocol: Protocol, methods: &HashSet<String>, request: &Request) -> String {
    match protocol {
        Protocol::Http => {
            request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned()
        }
        Protocol::Grpc => {
            methods.get(request.uri().path().trim_start_matches('/')).map_or(OTHER, String::as_str).to_owned()
        }
    }
}

impl Protocol {
    /// A refusal that no handler made.
    pub(super) fn refuse(self, error: Error) -> Response {
        match self {
            Self::Http => error.into_response(),
            Self::Grpc => tonic::Status::from(error).into_http(),
        }
    }

    fn span(self, method: &str, route: &str) -> Span {
        match self {
            Self::Http => tracing::info_span!(
                "http.request",
                otel.name = %format_args!("{method} {route}"),
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = method,
                http.route = route,
                http.response.status_code = Empty,
            ),
            Self::Grpc => tracing::info_span!(
                "grpc.request",
                otel.name = route,
                otel.kind = "server",
                otel.status_code = Empty,
                rpc.system.name = "grpc",
                rpc.method = route,
                rpc.response.status_code = Empty,
            ),
        }
    }
}

fn http_done(span: &Span, method: &'static str, route: &str, response: &Response, took: Duration) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let attributes = [
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
    ];
    HTTP.record(took.as_secs_f64(), &attributes);
    tracing::info!(took_ms = millis(took), "{method} {route} {}", status.as_u16());
}

fn grpc_done(span: &Span, route: &str, response: &Response, took: Duration) {
    // A failed unary call carries its status in the headers (trailers only).
    let code = response.headers().get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or("0");
    let code = tonic::Code::from_bytes(code.as_bytes());
    let name = format!("{code:?}");
    span.record("rpc.response.status_code", &name);
    let cause = response.extensions().get().and_then(cause);
    if matches!(code, tonic::Code::Internal | tonic::Code::Unknown | tonic::Code::DataLoss) {
        span.record("otel.status_code", "ERROR");
        tracing::error!(rpc.response.status_code = name, cause, "call failed");
    } else if matches!(code, tonic::Code::Unavailable | tonic::Code::DeadlineExceeded) {
        tracing::warn!(rpc.response.status_code = name, cause, "call not answered");
    }
    let attributes =
        [KeyValue::new("rpc.method", route.to_owned()), KeyValue::new("rpc.response.status_code", name.clone())];
    GRPC.record(took.as_secs_f64(), &attributes);
    tracing::info!(took_ms = millis(took), "{route} {name}");
}

/// Why a call failed, which the caller is not told.
fn cause(status: &tonic::Status) -> Option<String> {
    status.source()?.downcast_ref::<Error>().map(Error::chain)
}

fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e5).round() / 100.0
}

/// How long the caller says that it waits.
fn waits(protocol: Protocol, headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).map(HeaderValue::to_str)?.ok();
    match protocol {
        Protocol::Http => text("x-request-timeout-ms")?.parse().ok().map(Duration::from_millis),
        Protocol::Grpc => grpc_timeout(text("grpc-timeout")?),
    }
}

/// `grpc-timeout` of the gRPC over HTTP/2 specification: at most 8 digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let valid = matches!(digits.len(), 1..=8) && digits.bytes().all(|b| b.is_ascii_digit());
    let value: u64 = digits.parse().ok().filter(|_| valid)?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_grpc() {
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(grpc_timeout("250000u"), Some(Duration::from_millis(250)));
        for bad in ["", "S", "2", "123456789S", "-1S", "1.5S", "2x", "ä"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }

    /// The status keeps it on its way through the layers, and the caller is told nothing of it.
    #[test]
    fn a_failed_call_has_its_cause_for_the_log() {
        let error = Error::internal(std::io::Error::other("disk full"));
        let response: Response = tonic::Status::from(error).into_http();
        let shown = response.extensions().get().and_then(cause).unwrap_or_default();
        assert!(shown.ends_with(": disk full"), "{shown}");
        assert!(!format!("{:?}", response.headers()).contains("disk"));
    }
}
