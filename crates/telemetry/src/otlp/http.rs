//! Sends over HTTP on the runtime's own connections: the exporters wait on threads that have no runtime.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use rustls::ClientConfig;
use tokio::{runtime::Handle, time::timeout};

/// What a collector may answer at most: it says little more than how many it has refused.
const MAX_RESPONSE: usize = 64 * 1024;

/// An HTTP client for the exporters.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    timeout: Duration,
}

impl Sender {
    /// Sends on this runtime, each request within the time.
    pub(super) fn new(tls: ClientConfig, runtime: Handle, timeout: Duration) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self { client: Client::builder(TokioExecutor::new()).build(connector), runtime, timeout }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, limit) = (self.client.clone(), self.timeout);
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_RESPONSE).collect().await.map_err(|_| ResponseBodyTooLarge::new())?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        // The timer is made there, too.
        self.runtime.spawn(async move { timeout(limit, exchange).await }).await??
    }
}
