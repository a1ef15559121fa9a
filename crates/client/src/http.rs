//! Calls over HTTP: JSON in, a bounded body out.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use auth::Credential;
use bytes::Bytes;
use error::Kind;
use http_body_util::{BodyExt as _, Full, Limited};
use semconv::attributes;
use serde_json::Value;
use telemetry::Carrier;

use crate::{
    Config, Error,
    attempt::{Attempt, Protocol},
    call::Caller,
    transport::Transport,
};

/// Tells the callee how long its caller waits, in milliseconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// The largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// A response below 500, its body read.
#[derive(Debug)]
pub struct Response {
    /// Status line.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, 1 MiB at most.
    pub body: Bytes,
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// The body is not JSON.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// A client of one service's HTTP interface.
#[derive(Clone, Debug)]
pub struct Http {
    caller: Caller,
    base: String,
    credential: Option<HeaderValue>,
    transport: Transport,
}

impl Http {
    /// A client of the service `name` at the URL `base`. Connects with the first call.
    pub fn new(base: &str, config: Config, credential: Option<Credential>, name: &'static str) -> Self {
        let transport = Transport::new(base, config.connect_timeout);
        let credential = credential.map(|credential| credential.header_value());
        Self {
            caller: Caller::new(name, base, config),
            base: base.trim_end_matches('/').to_owned(),
            credential,
            transport,
        }
    }

    /// Whether the service is called: it has not failed too often of late. Calls nobody.
    ///
    /// # Errors
    ///
    /// [`Error::BreakerOpen`], with what it has failed of.
    pub fn check(&self) -> Result<(), Error> {
        self.caller.check()
    }

    /// Reads a resource.
    ///
    /// # Errors
    ///
    /// No response in time, or one of 429 or from 500 on.
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        self.send(Method::GET, path, HeaderMap::new(), None, true).await
    }

    /// Sends a request; it is repeated only where `idempotent`.
    ///
    /// # Errors
    ///
    /// No response in time, or one of 429 or from 500 on.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<&Value>,
        idempotent: bool,
    ) -> Result<Response, Error> {
        self.send_bytes(method, path, headers, body.map(|value| Bytes::from(value.to_string())), idempotent).await
    }

    /// The same with a body that is written already: JSON, where `headers` do not say what else.
    ///
    /// # Errors
    ///
    /// No response in time, or one of 429 or from 500 on.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
        idempotent: bool,
    ) -> Result<Response, Error> {
        let (of, headers) = (&method, &headers);
        let attempt = |attempt: Arc<Attempt>| {
            let (timeout, body) = (attempt.timeout, body.clone());
            // Made within the attempt's span, which the callee's is to stand under.
            async move { self.attempt(self.request(of, path, headers, body, timeout), &attempt).await }
        };
        self.caller.call(Protocol::Http(attributes::http_method(method.as_str())), idempotent, attempt).await
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Request<Full<Bytes>>, ::http::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(own) = request.headers_mut() {
            own.extend(headers.clone());
            Carrier::current().inject(own);
            own.insert(TIMEOUT, HeaderValue::from(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)));
            if let Some(credential) = &self.credential {
                own.insert(auth::CREDENTIAL_HEADER, credential.clone());
            }
            if body.is_some() {
                own.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            }
        }
        request.body(Full::new(body.unwrap_or_default()))
    }

    async fn attempt(
        &self,
        request: Result<Request<Full<Bytes>>, ::http::Error>,
        attempt: &Attempt,
    ) -> Result<Response, Error> {
        let request = request.map_err(|cause| self.refused(Kind::Internal, cause.to_string()))?;
        let response =
            self.transport.request(request).await.map_err(|cause| self.unavailable(&error::chain(&cause)))?;
        let (head, body) = response.into_parts();
        attempt.responded(head.status);
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let body = body.map_err(|cause| self.unavailable(&error::chain(&*cause)))?.to_bytes();
        match Kind::of_http(head.status) {
            _ if head.status.is_success() => {}
            Kind::Timeout => return Err(Error::Timeout(self.caller.peer.name)),
            Kind::Unavailable | Kind::RateLimited => return Err(self.unavailable(head.status.as_str())),
            kind if head.status.is_server_error() => return Err(self.refused(kind, head.status.to_string())),
            _ => {}
        }
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    fn unavailable(&self, reason: &str) -> Error {
        Error::Unavailable { callee: self.caller.peer.name, reason: reason.to_owned() }
    }

    fn refused(&self, kind: Kind, message: String) -> Error {
        Error::Status { callee: self.caller.peer.name, kind, message }
    }
}
