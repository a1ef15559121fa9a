//! Calls over gRPC: one HTTP/2 connection that reconnects by itself.

use std::{error::Error as _, iter, sync::Arc, time::Duration};

use auth::Credential;
use error::Kind;
use telemetry::Carrier;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{
    Config, Error,
    attempt::{Attempt, Protocol},
    call::Caller,
};

/// What generated clients are made on: the connection, with context, credential and deadline put into each call.
pub type GrpcChannel = InterceptedService<Channel, Outgoing>;

/// How often a connection is pinged, also while nothing is called, and how long the answer may take: what has fallen silent is
/// given up after the two, and the next call opens another one, which may lead to a peer that lives.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

tokio::task_local! {
    /// The current attempt: it has less time than the call when there were others before it.
    static ATTEMPT: Arc<Attempt>;
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
        let timeout = ATTEMPT.try_with(|attempt| {
            request.extensions().get().into_iter().for_each(|method| attempt.calls(method));
            attempt.timeout
        });
        request.set_timeout(telemetry::remaining(timeout.unwrap_or(self.timeout)));
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
            .keep_alive_while_idle(true)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        let credential = credential.map(|credential| MetadataValue::try_from(credential.header_value().as_bytes()));
        let credential = credential.transpose().map_err(|cause| bad(cause.to_string()))?;
        let outgoing = Outgoing { credential, timeout: config.timeout };
        let channel = InterceptedService::new(endpoint.connect_lazy(), outgoing);
        Ok(Self { caller: Caller::new(name, uri, config), channel })
    }

    /// Whether the service is called: it has not failed too often of late. Calls nobody.
    ///
    /// # Errors
    ///
    /// [`Error::BreakerOpen`], with what it has failed of.
    pub fn check(&self) -> Result<(), Error> {
        self.caller.check()
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
        let (callee, method) = (self.caller.peer.name, &method);
        let attempt = |attempt: Arc<Attempt>| {
            ATTEMPT.scope(Arc::clone(&attempt), async move {
                let answer = method(self.channel()).await;
                attempt.ended(answer.as_ref().err().map_or(Code::Ok, Status::code));
                answer.map(tonic::Response::into_inner).map_err(|status| classify(callee, &status))
            })
        };
        self.caller.call(Protocol::Grpc, idempotent, attempt).await
    }
}

/// Turns a status into one of our errors.
fn classify(callee: &'static str, status: &Status) -> Error {
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => Error::Timeout(callee),
        // Unknown is what a connection broken in the middle of a call becomes; no service of ours returns it.
        Code::Unavailable | Code::ResourceExhausted | Code::Unknown => {
            // Of a connection that cannot be made, the message says as much and the source says why.
            let causes = status.source().map(error::chain);
            let reason = iter::once(status.message().to_owned()).chain(causes).collect::<Vec<_>>().join(": ");
            Error::Unavailable { callee, reason }
        }
        code => Error::Status { callee, kind: Kind::of_grpc(code), message: status.message().to_owned() },
    }
}
