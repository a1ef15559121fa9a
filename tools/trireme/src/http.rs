//! A small HTTP client: one request, one JSON answer, a limit on both.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

const LIMIT: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status line.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// `null` where there is none, or none that is JSON.
    pub body: Value,
}

impl Http {
    /// A client with its own connections.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a GET.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(Method::GET, url, &[], None).await
    }

    /// Sends one request and reads the answer.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body))?;
        let exchange = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = Limited::new(body, LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}")).with_context(|| format!("{method} {url}"))
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Answer {
    /// A text member of the body; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// Fails with what the answer says unless it has one of these statuses.
    pub fn expect(self, expected: &[u16], what: &str) -> Result<Self> {
        if expected.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        bail!("{what}: expected {expected:?}, got {}: {}", self.status, self.body)
    }
}
