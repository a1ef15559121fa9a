//! What the services tell of themselves has nothing personal and nothing secret: log lines, spans, metrics and events of a
//! run in which a person does what a person can do, and puts personal data where none belong.

mod findings;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::{Answer, Api, Cluster};
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{Metric, ResourceMetrics, ScopeMetrics},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::findings::findings;
use crate::{books::Books, export::collector::Collector};

const NAMES: [&str; 2] = ["Zebulon Quackenbush", "Philippa Featherstone"];
const PASSWORDS: [&str; 2] = ["correct horse battery", "incorrect zebra accumulator"];

/// A person, and every word of theirs that nobody else is to read.
struct Person {
    api: Api,
    token: String,
    words: Vec<String>,
}

impl Person {
    async fn send(&mut self, method: Method, target: &str, body: Option<Value>) -> Result<Answer> {
        let (bearer, email) = (format!("Bearer {}", self.token), self.words[0].clone());
        // A key that is an address, and headers that nobody asked for.
        let key = format!("{email}:{target}:{}", body.as_ref().map(Value::to_string).unwrap_or_default().len());
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", key.as_str()),
            ("if-match", "*"),
            ("user-agent", email.as_str()),
            ("tracestate", "shop=ada"),
        ];
        self.api.send(method, target, &headers, body.as_ref()).await
    }

    async fn log_in(&mut self, email: &str, password: &str) -> Result<Answer> {
        let answer =
            self.send(Method::POST, "user:/v1/sessions", Some(json!({"email": email, "password": password}))).await?;
        self.keep_tokens(&answer);
        Ok(answer)
    }

    fn keep_tokens(&mut self, answer: &Answer) {
        if answer.status == StatusCode::OK {
            answer.text("access_token").clone_into(&mut self.token);
            self.words.extend(["access_token", "refresh_token"].map(|name| answer.text(name).to_owned()));
        }
    }

    /// An account from its beginning: refused, opened, logged in, renewed, changed.
    async fn register(api: Api) -> Result<Self> {
        let address = |name: &str| format!("{name}.{}@quackenbush.example", Uuid::new_v4().simple());
        let (email, next) = (address("zebulon"), address("philippa"));
        let words = [&email, &next].into_iter().map(String::as_str).chain(NAMES).chain(PASSWORDS).map(str::to_owned);
        let mut person = Self { api, token: String::new(), words: words.collect() };
        let account = json!({"email": email, "name": NAMES[0], "password": PASSWORDS[0]});
        let mut odd = account.clone();
        odd[&email] = json!(NAMES[0]);
        for (body, expected) in [(odd, 422), (account.clone(), 201), (account, 409)] {
            expect(&person.send(Method::POST, "user:/v1/users", Some(body)).await?, expected)?;
        }
        expect(&person.log_in(&email, PASSWORDS[1]).await?, 401)?;
        expect(&person.log_in(&format!("nobody.{email}"), PASSWORDS[0]).await?, 401)?;
        let session = person.log_in(&email, PASSWORDS[0]).await?;
        let refresh = json!({"refresh_token": session.text("refresh_token")});
        let renewed = person.send(Method::POST, "user:/v1/sessions/refresh", Some(refresh)).await?;
        expect(&renewed, 200)?;
        person.keep_tokens(&renewed);
        let change = json!({"email": next, "name": NAMES[1], "current_password": PASSWORDS[0]});
        expect(&person.send(Method::PATCH, "user:/v1/users/me", Some(change)).await?, 200)?;
        let change = json!({"current_password": PASSWORDS[0], "new_password": PASSWORDS[1]});
        expect(&person.send(Method::POST, "user:/v1/users/me/password", Some(change)).await?, 204)?;
        person.send(Method::POST, "user:/v1/password-resets", Some(json!({"email": next}))).await?;
        person.send(Method::POST, "user:/v1/users/me/email-verification", None).await?;
        Ok(person)
    }

    /// Orders of every end.
    async fn order(&mut self) -> Result<()> {
        let products = self.send(Method::GET, "order:/v1/products?limit=1", None).await?;
        let items = json!([{"product_id": products.body["items"][0]["id"], "quantity": 1}]);
        for (token, expected) in [
            ("tok_ok", 201),
            ("tok_declined", 201),
            ("tok_unavailable", 201),
            ("tok_unknown", 201),
            ("tok_zebulon", 422),
        ] {
            let order = json!({"items": items, "payment_token": token});
            let placed = self.send(Method::POST, "order:/v1/orders", Some(order)).await?;
            expect(&placed, expected)?;
            let id = placed.text("id");
            self.send(Method::GET, &format!("order:/v1/orders/{id}"), None).await?;
            let query = "query Mine($id: ID!) { order(id: $id) { id customer { email name } } me { email } }";
            let query = json!({"query": query, "variables": {"id": id, "email": self.words[0]}});
            self.send(Method::POST, "order:/graphql", Some(query)).await?;
            self.send(Method::POST, &format!("order:/v1/orders/{id}/cancel"), None).await?;
        }
        Ok(())
    }

    /// Personal data where none belong.
    async fn misplace(&mut self) -> Result<()> {
        let (email, token) = (self.words[0].clone(), self.token.clone());
        for (method, target, body) in [
            (Method::GET, format!("user:/v1/users/{email}"), None),
            (Method::GET, format!("user:/v1/users/me?email={email}&token={token}"), None),
            (Method::GET, format!("order:/v1/orders?cursor={email}"), None),
            (Method::GET, format!("order:/v1/products?query={email}"), None),
            (Method::GET, format!("order:/{email}"), None),
            (Method::POST, "user:/v1/sessions".to_owned(), Some(json!(email))),
            (Method::POST, "order:/v1/orders".to_owned(), Some(json!({"payment_token": email, "items": token}))),
            (Method::POST, "order:/graphql".to_owned(), Some(json!({"query": format!("{{ {email} }}")}))),
        ] {
            self.send(method, &target, body).await?;
        }
        self.token = format!("{token}x");
        expect(&self.send(Method::GET, "order:/v1/orders", None).await?, 401)?;
        self.token = token;
        Ok(())
    }

    /// The end of the account, to the last event.
    async fn close(&mut self) -> Result<()> {
        let body = json!({"current_password": PASSWORDS[1]});
        expect(&self.send(Method::DELETE, "user:/v1/users/me", Some(body)).await?, 202)?;
        let give_up = Instant::now() + Duration::from_secs(20);
        while self.send(Method::GET, "user:/v1/users/me", None).await?.text("status") != "closed" {
            ensure!(Instant::now() < give_up, "the account is not closed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn expect(answer: &Answer, status: u16) -> Result<()> {
    ensure!(answer.status.as_u16() == status, "expected {status}: {answer:?}");
    Ok(())
}

/// What the services have told, by where it stands.
fn told(cluster: &Cluster, collector: &Collector) -> Result<Vec<(String, String)>> {
    let mut told = Vec::new();
    for service in ["user", "order", "payment"] {
        told.push((format!("log of {service}"), cluster.log(service)?));
    }
    let seen = collector.seen();
    told.push(("exported spans".to_owned(), format!("{:?}", seen.spans)));
    told.push(("exported log records".to_owned(), format!("{:?}", seen.records)));
    told.push(("exported metrics".to_owned(), format!("{:?}", seen.measured)));
    Ok(told)
}

async fn events(cluster: &Cluster) -> Result<(String, String)> {
    Ok(("events".to_owned(), format!("{:?}", Books::open(cluster).await?.events().await?)))
}

/// What the admin ports show while the services run.
async fn shown(cluster: &Cluster) -> Result<Vec<(String, String)>> {
    let (mut shown, http) = (Vec::new(), trireme::http::Http::new());
    for process in cluster.processes()? {
        for path in ["/metrics", "/debug/traces", "/healthz/ready"] {
            shown.push((format!("{path} of {}", process.name), http.text(&format!("{}{path}", process.admin)).await?));
        }
    }
    Ok(shown)
}

fn all_findings(told: &[(String, String)], words: &[String]) -> Vec<String> {
    told.iter().flat_map(|(place, text)| findings(text, words).map(move |found| format!("{place}: {found}"))).collect()
}

/// What is left when somebody has done what a person can do.
struct Run {
    cluster: Cluster,
    collector: Collector,
    endpoint: String,
    words: Vec<String>,
}

/// Does so on services that say all that they can, libraries included; nothing personal is in it.
async fn nothing_is_told(arguments: &[&str]) -> Result<Run> {
    let (collector, address) = Collector::grpc(None).await?;
    let endpoint = format!("http://{address}");
    // But for SQL's statements, whose comments name the sandbox's tokens.
    let verbose = ("TRIREME_TELEMETRY__LOG", "trace,sqlx=info");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), verbose];
    let cluster = Cluster::up(&[&["up", "--detach"], arguments].concat(), &variables)?;
    let mut person = Person::register(Api::new(&cluster)?).await?;
    person.order().await?;
    person.misplace().await?;
    person.close().await?;
    let mut all = shown(&cluster).await?;
    all.push(events(&cluster).await?);
    cluster.tool(&["down"])?;
    all.extend(told(&cluster, &collector)?);
    for (place, text) in &all {
        println!("{place}: {} bytes", text.len());
        assert!(text.len() > 10, "{place} is empty");
    }
    assert_eq!(all_findings(&all, &person.words), Vec::<String>::new());
    Ok(Run { cluster, collector, endpoint, words: person.words })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_told() -> Result<()> {
    let Run { cluster, collector, endpoint, words } = nothing_is_told(&[]).await?;
    plant(&cluster, &endpoint, &words[0]).await?;
    let mut planted = told(&cluster, &collector)?;
    planted.push(events(&cluster).await?);
    let found = all_findings(&planted, &words);
    for place in ["log of user", "exported spans", "exported log records", "exported metrics", "events"] {
        assert!(
            found.iter().any(|finding| finding.starts_with(place)),
            "what is planted in {place} is not found: {found:?}"
        );
    }
    Ok(())
}

/// Nor do the clients of servers tell their passwords.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_told_on_servers() -> Result<()> {
    if testkit::servers::stack_is_installed(servers::Server::Nats) {
        nothing_is_told(&["--servers"]).await?;
    }
    Ok(())
}

/// Puts a word wherever the services tell something.
async fn plant(cluster: &Cluster, endpoint: &str, word: &str) -> Result<()> {
    let path = cluster.data().join("logs").join("user.log");
    std::fs::write(&path, format!("{}{{\"message\":\"{word}\"}}\n", cluster.log("user")?)).context("log")?;
    let name = word.to_owned();
    let span = Span { name: name.clone(), ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    TraceServiceClient::connect(endpoint.to_owned())
        .await?
        .export(ExportTraceServiceRequest { resource_spans })
        .await?;
    let record = LogRecord { event_name: name.clone(), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    LogsServiceClient::connect(endpoint.to_owned()).await?.export(ExportLogsServiceRequest { resource_logs }).await?;
    let metric = Metric { name, ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    let metrics = ExportMetricsServiceRequest { resource_metrics };
    MetricsServiceClient::connect(endpoint.to_owned()).await?.export(metrics).await?;
    let url = format!("sqlite://{}", cluster.data().join("bus.db").display());
    let bus = backends::bus(&messaging::Config::new(&url), clock::system()).await?;
    let event = messaging::Event::new("user.updated.v1", "user", 1, clock::system().now(), json!({"email": word}))?;
    bus.publish(&[event]).await?;
    bus.close().await;
    Ok(())
}
