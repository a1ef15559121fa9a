//! Calls over gRPC: one HTTP/2 connection that reconnects by itself.

use std::time::Duration;

use auth::Credential;
use error::Kind;
use telemetry::Carrier;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tracing::Instrument as _;

use crate::{Config, Error, call::Caller};

/// What generated clients are made on: the connection, with context, credential and deadline put into each call.
pub type GrpcChannel = InterceptedService<Channel, Outgoing>;

/// How often an idle connection is pinged, so that a dead peer is noticed before a call needs it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

tokio::task_local! {
    /// How long the current attempt may take: less than the call's timeout when there were others before it.
    static ATTEMPT_TIMEOUT: Duration;
}

/// Puts context, credential and deadline into a call's metadata.
#[derive(Clone, Debug)]
pub struct Outgoing {
    credential: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Interceptor for Outgoing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        Carrier::current().inject_metadata(request.metadata_mut());
        let attempt = ATTEMPT_TIMEOUT.try_with(|timeout| *timeout).unwrap_or(self.timeout);
        request.set_timeout(telemetry::remaining(attempt));
        if let Some(credential) = &self.credential {
            request.metadata_mut().insert(auth::CREDENTIAL_HEADER, credential.clone());
        }
        Ok(request)
    }
}

/// A client of one service's gRPC interface.
#[derive(Clone, Debug)]
pub struct Grpc {
    caller: Caller,
    channel: GrpcChannel,
}

impl Grpc {
    /// A client of the service `name` at `uri` (`http://host:port`). Connects with the first call.
    ///
    /// # Errors
    ///
    /// `uri` is none, or the credential does not fit into metadata.
    pub fn new(uri: &str, config: Config, credential: Option<Credential>, name: &'static str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Unavailable { callee: name, reason };
        let endpoint = Endpoint::from_shared(uri.to_owned())
            .map_err(|cause| bad(format!("{uri} is not a URI: {cause}")))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(config.timeout);
        let credential = credential.map(|credential| MetadataValue::try_from(credential.header_value().as_bytes()));
        let credential = credential.transpose().map_err(|cause| bad(cause.to_string()))?;
        let outgoing = Outgoing { credential, timeout: config.timeout };
        let channel = InterceptedService::new(endpoint.connect_lazy(), outgoing);
        Ok(Self { caller: Caller::new(name, config), channel })
    }

    /// The connection, for generated clients that are called without retries.
    pub fn channel(&self) -> GrpcChannel {
        self.channel.clone()
    }

    /// Calls one method through a generated client made on the channel; repeated only where `idempotent`.
    ///
    /// # Errors
    ///
    /// No response in time, or a refusal.
    pub async fn call<T, F, Fut>(&self, idempotent: bool, method: F) -> Result<T, Error>
    where
        F: Fn(GrpcChannel) -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let callee = self.caller.callee;
        let span = tracing::info_span!(
            "grpc.call",
            otel.name = %format_args!("call {callee}"),
            otel.kind = "client",
            rpc.system.name = "grpc",
            service.peer.name = callee,
        );
        let attempt = |timeout| {
            ATTEMPT_TIMEOUT.scope(timeout, async {
                method(self.channel())
                    .await
                    .map(tonic::Response::into_inner)
                    .map_err(|status| classify(callee, &status))
            })
        };
        self.caller.call(idempotent, attempt).instrument(span).await
    }
}

/// Turns a status into one of our errors.
fn classify(callee: &'static str, status: &Status) -> Error {
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => Error::Timeout(callee),
        // Unknown is what a connection broken in the middle of a call becomes; no service of ours returns it.
        Code::Unavailable | Code::ResourceExhausted | Code::Unknown => {
            Error::Unavailable { callee, reason: status.message().to_owned() }
        }
        code => Error::Status { callee, kind: Kind::of_grpc(code), message: status.message().to_owned() },
    }
}
