//! The service, one for each test, with a client of its router.

use std::path::Path;

use auth::Credential;
use axum::{
    Router,
    http::{HeaderValue, Method, StatusCode},
};
use clock::SharedClock;
use messaging::{Bus as _, Event};
use serde_json::{Value, json};
use testkit::{
    TempDir,
    http::{TestRequest, TestResponse},
};
use time::OffsetDateTime;
use tonic::service::Routes;
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
        TestRequest::new(self.router.clone(), method, path)
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
        let kinds = user::domain::DomainEvent::ALL.map(user::domain::DomainEvent::kind);
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

/// The header by which a service shows who it is.
pub(crate) fn credential(service: &str) -> HeaderValue {
    Credential::new(SECRET, service).header_value()
}

/// What a problem says is at fault, all of it of one kind: `pointer` or `header`.
#[track_caller]
pub(crate) fn faults_in<'a>(kind: &str, problem: &'a TestResponse) -> Vec<&'a str> {
    assert!(problem.fault_kinds().iter().all(|found| *found == kind), "{problem:?}");
    problem.faults()
}
