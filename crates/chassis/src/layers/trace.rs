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
use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram, UpDownCounter},
};
use semconv::{attributes, metrics};
use telemetry::Carrier;
use tokio::time::Instant;
use tonic::Code;
use tracing::{Span, field::Empty};

/// The interface a request came in by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// What the semantic conventions call a name that is not known.
const OTHER: &str = "_OTHER";
/// TLS is the mesh's: what arrives here has none.
const SCHEME: &str = "http";

static HTTP: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::HTTP_SERVER_REQUEST_DURATION.instrument());
static ACTIVE: LazyLock<UpDownCounter<i64>> = LazyLock::new(|| metrics::HTTP_SERVER_ACTIVE_REQUESTS.instrument());
static GRPC: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::RPC_SERVER_CALL_DURATION.instrument());

/// Counts a request as being answered for as long as it lives.
struct Active([KeyValue; 2]);

impl Active {
    fn new(method: &'static str) -> Self {
        let attributes = [attributes::HTTP_REQUEST_METHOD.of(method), attributes::URL_SCHEME.of(SCHEME)];
        ACTIVE.add(1, &attributes);
        Self(attributes)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.add(-1, &self.0);
    }
}

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
    let method = attributes::http_method(request.method().as_str());
    let route = route(protocol, &methods, &request);
    let span = protocol.span(method, &route);
    let _active = matches!(protocol, Protocol::Http).then(|| Active::new(method));
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
                url.scheme = SCHEME,
                error.type = Empty,
            ),
            Self::Grpc => tracing::info_span!(
                "grpc.request",
                otel.name = route,
                otel.kind = "server",
                otel.status_code = Empty,
                rpc.system.name = "grpc",
                rpc.method = route,
                rpc.response.status_code = Empty,
                error.type = Empty,
            ),
        }
    }
}

fn http_done(span: &Span, method: &'static str, route: &str, response: &Response, took: Duration) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    let mut attributes = vec![
        attributes::HTTP_REQUEST_METHOD.of(method),
        attributes::HTTP_ROUTE.of(route.to_owned()),
        attributes::HTTP_RESPONSE_STATUS_CODE.of(i64::from(status.as_u16())),
        attributes::URL_SCHEME.of(SCHEME),
    ];
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
        attributes.push(attributes::ERROR_TYPE.of(status.as_str().to_owned()));
    }
    HTTP.record(took.as_secs_f64(), &attributes);
    tracing::info!(took_ms = millis(took), "{method} {route} {}", status.as_u16());
}

fn grpc_done(span: &Span, route: &str, response: &Response, took: Duration) {
    // A failed unary call carries its status in the headers (trailers only).
    let code = response.headers().get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or("0");
    let code = Code::from_bytes(code.as_bytes());
    let name = attributes::grpc_status(code.into());
    span.record("rpc.response.status_code", name);
    let cause = response.extensions().get().and_then(cause);
    if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss) {
        if let Some(cause) = cause {
            tracing::error!(rpc.response.status_code = name, cause, "call failed");
        } else {
            // Not one of ours: the caller went away while its message was read, or what it sent is none.
            tracing::info!(rpc.response.status_code = name, said = message(response), "call broken off");
        }
    } else if matches!(code, Code::Unavailable | Code::DeadlineExceeded) {
        tracing::warn!(rpc.response.status_code = name, cause, "call not answered");
    }
    let mut attributes = vec![
        attributes::RPC_SYSTEM_NAME.of("grpc"),
        attributes::RPC_METHOD.of(route.to_owned()),
        attributes::RPC_RESPONSE_STATUS_CODE.of(name),
    ];
    if is_error(code) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", name);
        attributes.push(attributes::ERROR_TYPE.of(name));
    }
    GRPC.record(took.as_secs_f64(), &attributes);
    tracing::info!(took_ms = millis(took), "{route} {name}");
}

/// Whether a status is the server's fault, as the conventions for gRPC say.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// What a status says, as it is sent.
fn message(response: &Response) -> Option<&str> {
    response.headers().get("grpc-message")?.to_str().ok()
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

    /// As tonic says it where the caller is gone in the middle of its message.
    #[test]
    fn a_call_that_was_broken_off_has_no_cause_of_ours() {
        let response: Response = tonic::Status::unknown("broken pipe").into_http();
        assert_eq!(response.extensions().get().and_then(cause), None);
        assert_eq!(message(&response), Some("broken%20pipe"));
    }
}
