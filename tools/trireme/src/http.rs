//! A small HTTP client: one request, one JSON answer, a limit on both. `https` trusts whom the system trusts, or the
//! authorities in the file that `SSL_CERT_FILE` names.

use std::{io, sync::LazyLock, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
pub use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::crypto::aws_lc_rs;
use serde_json::Value;

const LIMIT: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http(Transport);

/// Without authorities to trust there is no `https`, and all the rest works.
#[derive(Clone, Debug)]
enum Transport {
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Plain(Client<HttpConnector, Full<Bytes>>),
}

/// Reading the authorities takes some milliseconds: once is enough.
static TLS: LazyLock<io::Result<HttpsConnector<HttpConnector>>> = LazyLock::new(|| {
    let mut tcp = tcp();
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(aws_lc_rs::default_provider())?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
});

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(1)));
    connector.set_nodelay(true);
    connector
}

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
        let builder = Client::builder(TokioExecutor::new());
        Self(match &*TLS {
            Ok(tls) => Transport::Tls(builder.build(tls.clone())),
            Err(_) => Transport::Plain(builder.build(tcp())),
        })
    }

    /// Sends a GET.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(Method::GET, url, &[], None).await
    }

    /// Sends a GET whose answer may not end, and returns it with its body unread.
    ///
    /// # Errors
    ///
    /// There is no answer within the limit.
    pub async fn open(&self, url: &str, headers: &[(&str, &str)]) -> Result<http::Response<Incoming>> {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default())?;
        let answer = tokio::time::timeout(TIMEOUT, self.request(request)).await;
        let answer = answer.unwrap_or_else(|_| bail!("no answer within {TIMEOUT:?}"));
        answer.with_context(|| format!("GET {}", without_query(url)))
    }

    /// Sends a GET whose answer is text.
    ///
    /// # Errors
    ///
    /// There is none within the limit, or it has another status than 200.
    pub async fn text(&self, url: &str) -> Result<String> {
        let reading = async {
            let answer = self.open(url, &[]).await?;
            ensure!(answer.status() == StatusCode::OK, "{url}: {}", answer.status());
            let body = Limited::new(answer.into_body(), LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?;
            Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
        };
        tokio::time::timeout(TIMEOUT, reading).await.unwrap_or_else(|_| bail!("no answer within {TIMEOUT:?}"))
    }

    async fn request(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>> {
        let sent = match &self.0 {
            Transport::Tls(client) => client.request(request),
            Transport::Plain(client) => client.request(request),
        };
        Ok(sent.await?)
    }

    async fn read(body: Incoming) -> Result<Value> {
        let body = Limited::new(body, LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok(serde_json::from_slice(&body).unwrap_or_default())
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
            let (head, body) = self.request(request).await?.into_parts();
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body: Self::read(body).await? })
        };
        let answer = tokio::time::timeout(TIMEOUT, exchange).await;
        answer
            .unwrap_or_else(|_| bail!("no answer within {TIMEOUT:?}"))
            .with_context(|| format!("{method} {}", without_query(url)))
    }
}

fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
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
