//! Requests of a customer, each under a trace of its own, marked for the canary or not.

use anyhow::{Context as _, Result, ensure};
use http::Method;
use proto::user::v1::{GetUserRequest, user_service_client::UserServiceClient};
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};
use trireme::http::{Answer, Http};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery staple";

/// Somebody who is logged in, at the entry point.
#[derive(Clone)]
pub(crate) struct Customer {
    http: Http,
    url: String,
    grpc: UserServiceClient<Channel>,
    pub(crate) id: String,
    bearer: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Products,
    Account,
    AccountOverGrpc,
    Order,
    /// With a deadline that nobody can keep.
    OrderAtOnce,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) trace: String,
    pub(crate) status: u16,
    /// Who answered, as Envoy says.
    pub(crate) upstream: String,
    /// What the service said of a failure; nothing where it was Envoy that failed.
    #[expect(dead_code, reason = "it is read where a failure is shown")]
    problem: Value,
}

impl Customer {
    pub(crate) async fn sign_up(url: &str, grpc: &str) -> Result<Self> {
        let grpc = UserServiceClient::new(Endpoint::from_shared(grpc.to_owned())?.connect_lazy());
        let (http, url) = (Http::new(), url.to_owned());
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let person = json!({"email": email, "name": "Ada", "password": PASSWORD});
        let signed = http.send(Method::POST, &format!("{url}/v1/users"), &[], Some(&person)).await?;
        let login = json!({"email": email, "password": PASSWORD});
        let session = http.send(Method::POST, &format!("{url}/v1/sessions"), &[], Some(&login)).await?;
        ensure!(session.status.is_success(), "{session:?}");
        let bearer = format!("Bearer {}", session.text("access_token"));
        Ok(Self { http, url, grpc, id: signed.text("id").to_owned(), bearer })
    }

    /// The first product that is there.
    pub(crate) async fn product(&self) -> Result<String> {
        let list = self.http.get(&format!("{}/v1/products?limit=1", self.url)).await?;
        Ok(list.body["items"][0]["id"].as_str().context("no product")?.to_owned())
    }

    /// Sends one request.
    pub(crate) async fn ask(&self, ask: Ask, canary: bool, product: &str) -> Result<Asked> {
        let trace = Uuid::new_v4().simple().to_string();
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        if ask == Ask::AccountOverGrpc {
            return self.over_grpc(trace, &parent, canary).await;
        }
        let key = Uuid::new_v4().to_string();
        let mut headers = vec![("authorization", self.bearer.as_str()), ("traceparent", parent.as_str())];
        headers.extend(canary.then_some(("x-canary", "true")));
        let answer = match ask {
            Ask::Products => self.send(Method::GET, "/v1/products?limit=5", &headers, None).await?,
            Ask::Order | Ask::OrderAtOnce => {
                headers.push(("idempotency-key", &key));
                headers.extend((ask == Ask::OrderAtOnce).then_some(("x-request-timeout-ms", "0")));
                let order = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": "tok_ok"});
                self.send(Method::POST, "/v1/orders", &headers, Some(&order)).await?
            }
            Ask::Account | Ask::AccountOverGrpc => self.send(Method::GET, "/v1/users/me", &headers, None).await?,
        };
        let upstream = answer.headers.get("x-upstream").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let upstream = upstream.to_owned();
        let problem = if answer.status.is_success() { Value::Null } else { answer.body };
        Ok(Asked { ask, trace, status: answer.status.as_u16(), upstream, problem })
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        self.http.send(method, &format!("{}{path}", self.url), headers, body).await
    }

    async fn over_grpc(&self, trace: String, parent: &str, canary: bool) -> Result<Asked> {
        let mut request = tonic::Request::new(GetUserRequest { id: self.id.clone() });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.bearer.parse()?);
        metadata.insert("traceparent", parent.parse()?);
        if canary {
            metadata.insert("x-canary", "true".parse()?);
        }
        let answered = self.grpc.clone().get_user(request).await;
        let (status, metadata) = match &answered {
            Ok(answer) => (200, answer.metadata()),
            Err(status) => (500, status.metadata()),
        };
        let upstream = metadata.get("x-upstream").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let problem = answered.as_ref().err().map(ToString::to_string).into();
        Ok(Asked { ask: Ask::AccountOverGrpc, trace, status, upstream, problem })
    }

    /// How many orders the account counts.
    pub(crate) async fn orders_placed(&self) -> Result<u64> {
        let account = self.send(Method::GET, "/v1/users/me", &[("authorization", &self.bearer)], None).await?;
        account.body["orders_placed"].as_u64().with_context(|| format!("{account:?}"))
    }
}
