//! One attempt of a call as telemetry sees it: a span of its own, and how long it took.

use std::{
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use ::http::{StatusCode, Uri};
use opentelemetry::{Context, KeyValue, metrics::Histogram, trace::TraceContextExt as _};
use semconv::{attributes, metrics};
use tokio::time::Instant;
use tonic::{Code, GrpcMethod};
use tracing::{Span, field::Empty};

use crate::Error;

static HTTP: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::HTTP_CLIENT_REQUEST_DURATION.instrument());
static GRPC: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::RPC_CLIENT_CALL_DURATION.instrument());

/// Who is called.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The service's name.
    pub(crate) name: &'static str,
    address: String,
    port: u16,
}

impl Peer {
    /// The service of that name at this URL.
    pub(crate) fn new(name: &'static str, url: &str) -> Arc<Self> {
        let uri: Uri = url.parse().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        Arc::new(Self { name, address: uri.host().unwrap_or_default().to_owned(), port })
    }
}

/// The protocol of a call, with the method where it is known before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http(&'static str),
    Grpc,
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// How long it may take.
    pub(crate) timeout: Duration,
    pub(crate) span: Span,
    start: Instant,
    protocol: Protocol,
    peer: Arc<Peer>,
    /// What is only known after a while: the method of gRPC, and the status.
    method: OnceLock<String>,
    status: OnceLock<Status>,
}

#[derive(Clone, Copy, Debug)]
enum Status {
    Http(StatusCode),
    Grpc(&'static str),
}

impl Attempt {
    /// Begins one.
    pub(crate) fn begin(protocol: Protocol, peer: &Arc<Peer>, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            timeout,
            span: protocol.span(peer),
            start: Instant::now(),
            protocol,
            peer: Arc::clone(peer),
            method: OnceLock::new(),
            status: OnceLock::new(),
        })
    }

    /// The generated client says, within the attempt's span, which method it calls.
    pub(crate) fn calls(&self, method: &GrpcMethod<'_>) {
        let name = format!("{}/{}", method.service(), method.method());
        // Once it is under way `tracing` cannot name it any more.
        Context::current().span().update_name(name.clone());
        self.span.record("rpc.method", &name);
        let _ = self.method.set(name);
    }

    /// The callee responded.
    pub(crate) fn responded(&self, status: StatusCode) {
        self.span.record("http.response.status_code", status.as_u16());
        let _ = self.status.set(Status::Http(status));
    }

    /// The call has ended with this status.
    pub(crate) fn ended(&self, code: Code) {
        let name = attributes::grpc_status(code.into());
        self.span.record("rpc.response.status_code", name);
        let _ = self.status.set(Status::Grpc(name));
    }

    /// Records what became of it.
    pub(crate) fn done(&self, error: Option<&Error>) {
        let failure = self.failure(error);
        if let Some(failure) = &failure {
            self.span.record("error.type", failure);
            self.span.record("otel.status_code", "ERROR");
        }
        let mut attributes = self.attributes();
        attributes.extend(failure.map(|failure| attributes::ERROR_TYPE.of(failure)));
        let histogram = match self.protocol {
            Protocol::Http(_) => &HTTP,
            Protocol::Grpc => &GRPC,
        };
        histogram.record(self.start.elapsed().as_secs_f64(), &attributes);
    }

    /// Why it failed, as `error.type`: the status where there is one.
    fn failure(&self, error: Option<&Error>) -> Option<String> {
        match (self.status.get(), error) {
            (Some(Status::Http(status)), _) if status.as_u16() >= 400 => Some(status.as_str().to_owned()),
            (Some(Status::Grpc(name)), _) if *name != "OK" => Some((*name).to_owned()),
            (_, Some(Error::Timeout(_))) => Some("timeout".to_owned()),
            (_, Some(_)) => Some("unavailable".to_owned()),
            (_, None) => None,
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let peer = &*self.peer;
        let mut attributes =
            vec![attributes::SERVER_ADDRESS.of(peer.address.clone()), attributes::SERVER_PORT.of(i64::from(peer.port))];
        match self.protocol {
            Protocol::Http(method) => attributes.push(attributes::HTTP_REQUEST_METHOD.of(method)),
            Protocol::Grpc => {
                attributes.push(attributes::RPC_SYSTEM_NAME.of("grpc"));
                attributes.extend(self.method.get().map(|method| attributes::RPC_METHOD.of(method.clone())));
            }
        }
        attributes.extend(self.status.get().map(|status| match status {
            Status::Http(status) => attributes::HTTP_RESPONSE_STATUS_CODE.of(i64::from(status.as_u16())),
            Status::Grpc(name) => attributes::RPC_RESPONSE_STATUS_CODE.of(*name),
        }));
        attributes
    }
}

impl Protocol {
    fn span(self, peer: &Peer) -> Span {
        match self {
            Self::Http(method) => tracing::info_span!(
                "http.call",
                otel.name = %format_args!("{method} {}", peer.name),
                otel.kind = "client",
                otel.status_code = Empty,
                http.request.method = method,
                http.response.status_code = Empty,
                server.address = peer.address,
                server.port = peer.port,
                service.peer.name = peer.name,
                error.type = Empty,
            ),
            Self::Grpc => tracing::info_span!(
                "grpc.call",
                otel.kind = "client",
                otel.status_code = Empty,
                rpc.system.name = "grpc",
                rpc.method = Empty,
                rpc.response.status_code = Empty,
                server.address = peer.address,
                server.port = peer.port,
                service.peer.name = peer.name,
                error.type = Empty,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(protocol: Protocol) -> Arc<Attempt> {
        Attempt::begin(protocol, &Peer::new("payment", "https://payment.shop:9443"), Duration::from_secs(1))
    }

    #[test]
    fn a_failure_is_named_by_its_status_or_its_kind() {
        let timeout = Some(&Error::Timeout("payment"));
        assert_eq!(attempt(Protocol::Grpc).failure(timeout).as_deref(), Some("timeout"));
        let refused = attempt(Protocol::Grpc);
        refused.ended(Code::FailedPrecondition);
        assert_eq!(refused.failure(None).as_deref(), Some("FAILED_PRECONDITION"));
        let (missing, found) = (attempt(Protocol::Http("GET")), attempt(Protocol::Http("GET")));
        missing.responded(StatusCode::NOT_FOUND);
        found.responded(StatusCode::OK);
        assert_eq!((missing.failure(None).as_deref(), found.failure(None)), (Some("404"), None));
    }

    #[test]
    fn it_says_who_was_called_and_how() {
        let call = attempt(Protocol::Grpc);
        call.calls(&GrpcMethod::new("payment.v1.PaymentService", "Void"));
        call.ended(Code::Ok);
        let attributes = call.attributes();
        let shown: Vec<String> = attributes.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
        let expected = [
            "server.address=payment.shop",
            "server.port=9443",
            "rpc.system.name=grpc",
            "rpc.method=payment.v1.PaymentService/Void",
            "rpc.response.status_code=OK",
        ];
        assert_eq!(shown, expected);
    }
}
