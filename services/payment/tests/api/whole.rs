//! The whole service as it is wired, on real ports and a bus in a file.

use std::sync::Arc;

use auth::{CREDENTIAL_HEADER, Credential};
use chassis::Listeners;
use messaging::{Bus as _, Event};
use payment::{
    config::{Config, DEFAULTS},
    wiring,
};
use proto::payment::v1::{
    AuditRequest, AuthorizeResponse, CaptureRequest, ListPaymentsByOrderRequest, Payment, Status,
    payment_service_client::PaymentServiceClient,
};
use serde_json::{Value, json};
use testkit::{TempDir, servers::Postgres};
use time::OffsetDateTime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, transport::Channel};
use uuid::Uuid;

use crate::harness::{SECRET, request};

/// The service, until its folder goes.
struct Whole {
    folder: Arc<TempDir>,
    grpc: PaymentServiceClient<Channel>,
    http: std::net::SocketAddr,
    stop: CancellationToken,
    running: TaskTracker,
}

impl Whole {
    async fn start() -> Self {
        let folder = Arc::new(testkit::temp_dir());
        let url = |name| testkit::sqlite_url(&folder, name);
        let provider = url("provider.db").replace("sqlite:", "sandbox:");
        Self::on(&folder, url("payment.db"), provider).await
    }

    /// The service on a database and a provider, with its bus in the folder.
    async fn on(folder: &Arc<TempDir>, database: String, provider: String) -> Self {
        let config = config(folder, database, provider);
        let listeners = Listeners::bind(&config.chassis()).await.unwrap();
        let [http, grpc, _] = listeners.addresses().unwrap();
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let app = wiring::app(&config, clock::system()).await.unwrap();
        let stopped = stop.clone().cancelled_owned();
        let served = chassis::serve_until(listeners, config.chassis(), app, stopped);
        running.spawn(async move { served.await.unwrap() });
        running.close();
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        Self { folder: Arc::clone(folder), grpc: PaymentServiceClient::new(channel), http, stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.wait().await;
    }

    async fn authorize(&self, order: Uuid) -> Result<Payment, tonic::Status> {
        let answer = self.grpc.clone().authorize(shown(request(order, "tok_ok"))).await?;
        Ok(answer.into_inner().payment.unwrap())
    }

    async fn capture(&self, order: Uuid) -> Result<Payment, tonic::Status> {
        let request = shown(CaptureRequest { order_id: order.to_string() });
        Ok(self.grpc.clone().capture(request).await?.into_inner().payment.unwrap())
    }

    async fn status(&self, order: Uuid) -> Status {
        let request = shown(ListPaymentsByOrderRequest { order_id: order.to_string() });
        let payments = self.grpc.clone().list_payments_by_order(request).await.unwrap();
        payments.into_inner().payments[0].status()
    }
}

fn config(folder: &TempDir, database: String, provider: String) -> Config {
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let env = [
        ("DATABASE__URL", database),
        ("BUS__URL", testkit::sqlite_url(folder, "bus.db")),
        ("PROVIDER__URL", provider),
        ("SERVICE__CREDENTIAL_FILE", secret.to_str().unwrap().to_owned()),
        ("WEBHOOK__SECRET_FILE", secret.to_str().unwrap().to_owned()),
        ("HTTP__PORT", "0".to_owned()),
        ("GRPC__PORT", "0".to_owned()),
        ("ADMIN__PORT", "0".to_owned()),
    ];
    let env = env.map(|(key, value)| (format!("TRIREME_{key}"), value));
    config::load_from("payment", DEFAULTS, None, env).unwrap().value
}

fn shown<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = Credential::new(SECRET, "order").header_value();
    request.metadata_mut().insert(CREDENTIAL_HEADER, value.to_str().unwrap().parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_authorized_is_told_and_what_is_cancelled_is_let_go() {
    let whole = Whole::start().await;
    let bus = sqlite::Bus::open(&testkit::sqlite_url(&whole.folder, "bus.db"), clock::system()).await.unwrap();
    let told = bus.subscribe("test", &["payment.authorized.v1", "payment.voided.v1"]).await.unwrap();

    let order = Uuid::now_v7();
    let mut authorize = shown(request(order, "tok_ok"));
    authorize.metadata_mut().insert("x-canary", "true".parse().unwrap());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01").parse().unwrap();
    authorize.metadata_mut().insert("traceparent", parent);
    let AuthorizeResponse { payment } = whole.grpc.clone().authorize(authorize).await.unwrap().into_inner();
    assert_eq!(payment.unwrap().status(), Status::Authorized);
    let delivery = told.fetch(1).await.unwrap().remove(0);
    told.ack(&delivery).await.unwrap();
    assert_eq!((delivery.event.kind.as_str(), delivery.event.key), ("payment.authorized.v1", order.to_string()));
    assert!(delivery.event.carrier.canary);
    assert!(delivery.event.carrier.traceparent.unwrap().contains(trace));

    let data = json!({"order_id": order});
    let cancelled = Event::new("order.cancelled.v1", "order", order, OffsetDateTime::now_utc(), data).unwrap();
    bus.publish(&[cancelled]).await.unwrap();
    testkit::eventually!(whole.status(order).await == Status::Voided);
    let delivery = told.fetch(1).await.unwrap().remove(0);
    assert_eq!((delivery.event.kind.as_str(), delivery.event.key), ("payment.voided.v1", order.to_string()));
    whole.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_over_http_are_problem_documents() {
    let whole = Whole::start().await;
    let answer = post(whole.http, "/v1/webhooks/sandbox").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/problem+json"), "{head}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], 401);
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:trace:"));
    assert!(post(whole.http, "/v1/webhooks/sandbox/").await.starts_with("HTTP/1.1 404"));
    whole.stop().await;
}

/// Two replicas on one PostgreSQL, the provider's world beside payment's own; each takes locks of its own only.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_charge_once() {
    let Some(server) = Postgres::shared().await else { return };
    let (folder, url) = (Arc::new(testkit::temp_dir()), server.database().await);
    let replica = || Whole::on(&folder, url.clone(), format!("sandbox+{url}"));
    let (one, other) = tokio::join!(replica(), replica());
    for _ in 0..10 {
        let order = Uuid::now_v7();
        let calls = tokio::join!(one.authorize(order), other.authorize(order));
        assert!(calls.0.is_ok() || calls.1.is_ok(), "{calls:?}");
        let captured = tokio::join!(one.capture(order), other.capture(order));
        assert!(captured.0.is_ok() || captured.1.is_ok(), "{captured:?}");
        assert_eq!((one.status(order).await, other.status(order).await), (Status::Captured, Status::Captured));
    }
    let audit = one.grpc.clone().audit(shown(AuditRequest {})).await.unwrap().into_inner();
    assert_eq!((audit.payments, audit.charged_twice, audit.unbalanced, audit.unresolved), (10, 0, 0, 0));
    assert_eq!(audit.captured[0].amount, 10 * 1_299);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_unknown_provider_is_refused_with_those_that_are_known() {
    let folder = testkit::temp_dir();
    let config = config(&folder, testkit::sqlite_url(&folder, "payment.db"), "bank://account".to_owned());
    let refused = format!("{:#}", wiring::migrate(&config).await.unwrap_err());
    for word in ["provider.url", "`bank`", "sandbox:", "sandbox+postgres:"] {
        assert!(refused.contains(word), "{refused}");
    }
}

/// `database.migrate` holds for the provider's schema too, and `payment migrate` makes it.
#[tokio::test]
async fn the_provider_is_migrated_as_the_database_is() {
    let Some(server) = Postgres::shared().await else { return };
    let folder = testkit::temp_dir();
    let provider = format!("sandbox+{}", server.database().await);
    let mut config = config(&folder, testkit::sqlite_url(&folder, "payment.db"), provider);
    config.database.migrate = false;
    let refused = format!("{:#}", wiring::app(&config, clock::system()).await.err().unwrap());
    assert!(refused.contains("provider.url") && refused.contains("`migrate`"), "{refused}");
    wiring::migrate(&config).await.unwrap();
    assert!(wiring::app(&config, clock::system()).await.is_ok());
}

/// Posts an empty object, by hand: one request does not need a client.
async fn post(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: payment\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
