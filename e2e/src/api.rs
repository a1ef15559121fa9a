//! A small HTTP client for the public interface: JSON in, JSON out, connections kept.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Cluster;

/// Longer than any answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer, its body read.
#[derive(Debug)]
pub struct Answer {
    /// Status line.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The JSON body, `null` where there is none.
    pub body: Value,
}

impl Answer {
    /// A text field of the body, empty where it is missing.
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// A signed-up, logged-in person.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's id.
    pub id: String,
    /// The address that was signed up.
    pub email: String,
    /// Access token.
    pub token: String,
}

/// A client of the three services.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client<HttpConnector, Full<Bytes>>,
    user: String,
    order: String,
}

impl Api {
    /// A client with its own connections.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { http, user: cluster.process("user")?.http, order: cluster.process("order")?.http })
    }

    /// Sends one request. `target` starts with `user:` or `order:` and goes on with the path, or is a whole URL.
    pub async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        let url = match target.split_once(':') {
            Some(("user", path)) => format!("{}{path}", self.user),
            Some(("order", path)) => format!("{}{path}", self.order),
            _ => target.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = match body {
            Some(value) => {
                request = request.header("content-type", "application/json");
                Bytes::from(serde_json::to_vec(value)?)
            }
            None => Bytes::new(),
        };
        let exchange = async {
            let (head, body) = self.http.request(request.body(Full::new(bytes))?).await?.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            anyhow::Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(LIMIT, exchange).await.with_context(|| format!("{url} did not answer in {LIMIT:?}"))?
    }

    /// GET as somebody.
    pub async fn get(&self, target: &str, account: &Account) -> Result<Answer> {
        self.send(Method::GET, target, &[("authorization", &account.bearer())], None).await
    }

    /// POST as somebody, with an idempotency key where one is given.
    pub async fn post(&self, target: &str, account: &Account, key: Option<&str>, body: Option<&Value>) -> Result<Answer> {
        let bearer = account.bearer();
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.send(Method::POST, target, &headers, body).await
    }

    /// Signs up a new person and logs them in.
    pub async fn sign_up(&self) -> Result<Account> {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let person = json!({"email": email, "name": "Ada", "password": "correct horse battery"});
        let answer = self.send(Method::POST, "user:/v1/users", &[], Some(&person)).await?;
        ensure!(answer.status == StatusCode::CREATED, "sign-up: {answer:?}");
        self.log_in(answer.text("id"), &email).await
    }

    /// Logs in a person that [`Api::sign_up`] made.
    pub async fn log_in(&self, id: &str, email: &str) -> Result<Account> {
        let login = json!({"email": email, "password": "correct horse battery"});
        let answer = self.send(Method::POST, "user:/v1/sessions", &[], Some(&login)).await?;
        ensure!(answer.status == StatusCode::OK, "log-in: {}", answer.status);
        Ok(Account { id: id.to_owned(), email: email.to_owned(), token: answer.text("access_token").to_owned() })
    }

    /// Signs up an operator: `trireme grant` gives the role, a new log-in brings it into the token.
    pub async fn operator(&self, cluster: &Cluster) -> Result<Account> {
        let account = self.sign_up().await?;
        cluster.tool(&["grant", &account.email, "operator"])?;
        self.log_in(&account.id, &account.email).await
    }
}

impl Account {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}
