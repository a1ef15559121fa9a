//! The service, one for each test, with a client of its router.

use std::path::Path;

use auth::Credential;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, Method, Request, StatusCode, header},
};
use clock::SharedClock;
use http_body_util::BodyExt as _;
use messaging::{Bus as _, Event};
use serde_json::{Value, json};
use testkit::TempDir;
use time::OffsetDateTime;
use tonic::service::Routes;
use tower::ServiceExt as _;
use user::{
    config::{Config, DEFAULTS},
    domain::{Email, Role},
    wiring,
};

pub(crate) const SECRET: &str = "a secret that the services share";
pub(crate) const PASSWORD: &str = "correct horse";

/// The service, its background work running.
pub(crate) struct TestApp {
    pub(crate) config: Config,
    pub(crate) bus: sqlite::Bus,
    pub(crate) grpc: Routes,
    router: Router,
    _folder: TempDir,
}

/// Somebody with an account who is logged in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With some keys of the configuration set, such as `("CLOSING__POLL", "1h")`.
    pub(crate) async fn with(keys: &[(&str, &str)]) -> Self {
        Self::at(clock::system(), keys).await
    }

    pub(crate) async fn at(clock: SharedClock, keys: &[(&str, &str)]) -> Self {
        let folder = testkit::temp_dir();
        let config = configure(folder.path(), keys);
        let app = wiring::app(&config, clock).await.unwrap();
        let bus = sqlite::Bus::open(&config.bus.url, clock::system()).await.unwrap();
        let router = chassis::layers(app.http, &config.limits, &config.cors);
        Self { config, bus, grpc: app.grpc, router, _folder: folder }
    }

    pub(crate) fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    pub(crate) fn patch(&self, path: &str) -> TestRequest {
        self.request(Method::PATCH, path)
    }

    pub(crate) fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> TestRequest {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        TestRequest { router: self.router.clone(), request }
    }

    pub(crate) async fn register(&self, email: &str) -> Value {
        let body = json!({"email": email, "name": "Ada", "password": PASSWORD});
        self.post("/v1/users").json(&body).send().await.expect(StatusCode::CREATED).body
    }

    /// Tries to log in.
    pub(crate) async fn try_log_in(&self, email: &str, password: &str) -> TestResponse {
        self.post("/v1/sessions").json(&json!({"email": email, "password": password})).send().await
    }

    pub(crate) async fn log_in(&self, email: &str) -> Person {
        let tokens = self.try_log_in(email, PASSWORD).await.expect(StatusCode::OK).body;
        let text = |key: &str| tokens[key].as_str().unwrap().to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        let me = self.get("/v1/users/me").bearer(&access).send().await.expect(StatusCode::OK).body;
        Person { id: me["id"].as_str().unwrap().to_owned(), email: email.to_owned(), access, refresh }
    }

    pub(crate) async fn person(&self, email: &str) -> Person {
        self.register(email).await;
        self.log_in(email).await
    }

    pub(crate) async fn operator(&self, email: &str) -> Person {
        self.register(email).await;
        wiring::grant(&self.config, &Email::parse(email).unwrap(), Role::Operator).await.unwrap();
        self.log_in(email).await
    }

    pub(crate) async fn me(&self, person: &Person) -> TestResponse {
        self.get("/v1/users/me").bearer(&person.access).send().await.expect(StatusCode::OK)
    }

    pub(crate) async fn refresh(&self, token: &str) -> TestResponse {
        self.post("/v1/sessions/refresh").json(&json!({ "refresh_token": token })).send().await
    }

    /// Publishes an event of order about a user.
    pub(crate) async fn publish(&self, kind: &str, data: &Value) -> Event {
        let event = Event::new(kind, "order", "an order", OffsetDateTime::now_utc(), data).unwrap();
        self.bus.publish(std::slice::from_ref(&event)).await.unwrap();
        event
    }

    /// The events that the service has published, once there are at least so many.
    pub(crate) async fn published(&self, at_least: usize) -> Vec<Event> {
        let kinds = ["user.registered.v1", "user.updated.v1", "user.closed.v1"];
        let subscription = self.bus.subscribe("test", &kinds).await.unwrap();
        let mut events = Vec::new();
        while events.len() < at_least {
            for delivery in subscription.fetch(100).await.unwrap() {
                subscription.ack(&delivery).await.unwrap();
                events.push(delivery.event);
            }
        }
        events
    }
}

fn configure(folder: &Path, keys: &[(&str, &str)]) -> Config {
    let secret = folder.join("credential");
    std::fs::write(&secret, SECRET).unwrap();
    let url = |name: &str| format!("sqlite://{}", folder.join(name).display());
    let mut env = vec![
        ("DATABASE__URL", url("user.db")),
        ("BUS__URL", url("bus.db")),
        ("SERVICE__CREDENTIAL_FILE", secret.display().to_string()),
        ("PASSWORDS__MEMORY_KIB", "64".to_owned()),
        ("PASSWORDS__PASSES", "1".to_owned()),
        ("CLOSING__BACKOFF_MIN", "20ms".to_owned()),
        ("CLOSING__BACKOFF_MAX", "200ms".to_owned()),
        ("CLOSING__POLL", "20ms".to_owned()),
        ("ORDER__URL", "http://127.0.0.1:1".to_owned()),
        ("ORDER__CLIENT__RETRIES", "0".to_owned()),
        ("ORDER__CLIENT__BREAKER__OPEN", "20ms".to_owned()),
        ("ORDER__CLIENT__BREAKER__OPEN_MAX", "100ms".to_owned()),
    ];
    env.extend(keys.iter().map(|(key, value)| (*key, (*value).to_owned())));
    let env = env.into_iter().map(|(key, value)| (format!("TRIREME_{key}"), value));
    config::load_from::<Config>("user", DEFAULTS, None, env).unwrap().value
}

/// A request to the router.
pub(crate) struct TestRequest {
    router: Router,
    request: Request<Body>,
}

impl TestRequest {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn service(self, name: &str) -> Self {
        let credential = Credential::new(SECRET, name).header_value();
        self.header(auth::CREDENTIAL_HEADER, credential.to_str().unwrap())
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
    }

    /// A body that says that it is JSON.
    pub(crate) fn raw(self, body: impl Into<Body>) -> Self {
        let mut this = self.header("content-type", "application/json");
        *this.request.body_mut() = body.into();
        this
    }

    pub(crate) async fn send(self) -> TestResponse {
        let response = self.router.oneshot(self.request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        TestResponse { status: head.status, headers: head.headers, body, length: bytes.len() }
    }
}

/// What the router answered.
#[derive(Debug, Clone)]
pub(crate) struct TestResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) length: usize,
}

impl TestResponse {
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A refusal with its problem document; gives what each error points to.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> Vec<Value> {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        for key in ["type", "title", "detail"] {
            assert!(self.body[key].is_string(), "{key}: {}", self.body);
        }
        let instance = self.body["instance"].as_str().unwrap();
        assert_eq!(instance.strip_prefix("urn:trace:").unwrap().len(), 32);
        if status == 401 {
            assert_eq!(self.header("www-authenticate"), "Bearer");
        }
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let target = |error: &Value| {
            let mut error = error.as_object().unwrap().clone();
            assert!(error.remove("detail").is_some());
            Value::Object(error)
        };
        errors.iter().map(target).collect()
    }

    /// The problem document of a refusal, without what differs from request to request.
    pub(crate) fn problem(&self) -> Value {
        let mut problem = self.body.clone();
        problem["instance"] = Value::Null;
        problem
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name} is missing: {:?}", self.headers)).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn etag(&self) -> &str {
        self.header(header::ETAG.as_str())
    }
}
