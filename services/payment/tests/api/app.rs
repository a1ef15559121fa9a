//! A payment service of its own for each test, on stores in memory, with a provider that does whatever it is told twice.

use std::sync::Arc;

use auth::Credential;
use clock::SharedClock;
use lock::{Locks, Memory, Policy};
use messaging::{Event, Outbox as _, Wake};
use payment::{
    adapters::{
        sandbox::Sandbox,
        sqlite::{MIGRATIONS, SqlitePayments},
    },
    api::{grpc, http},
    app::{App, AuthorizePayment, metrics::Metrics, ports::Provider as _},
    domain::{ChargeState, OrderId, PaymentToken},
};
use proto::payment::v1::{self as pb, AuthorizeRequest, payment_service_client::PaymentServiceClient};
use testkit::ManualClock;
use tokio_util::{sync::CancellationToken, sync::DropGuard, task::TaskTracker};
use tonic::{
    Request, Status,
    service::{Interceptor, Routes, interceptor::InterceptedService},
    transport::Channel,
};
use uuid::Uuid;

use crate::faulty_provider::FaultyProvider;

pub(crate) const SECRET: &str = "shared by the services";
pub(crate) const WEBHOOK_SECRET: &str = "shared with the provider";

pub(crate) type Client = PaymentServiceClient<InterceptedService<Channel, WithCredential>>;

/// Adds a credential to each request, if there is one.
#[derive(Clone)]
pub(crate) struct WithCredential(Option<Credential>);

impl Interceptor for WithCredential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(credential) = &self.0 {
            let value = credential.header_value().to_str().unwrap().parse().unwrap();
            request.metadata_mut().insert(auth::CREDENTIAL_HEADER, value);
        }
        Ok(request)
    }
}

/// The service under test, and what a test has to reach of it.
pub(crate) struct TestApp {
    /// The use cases, for calls that need no client.
    pub(crate) use_cases: Arc<App>,
    pub(crate) provider: Arc<FaultyProvider>,
    pub(crate) clock: ManualClock,
    pub(crate) router: axum::Router,
    pub(crate) database: sqlite::Database,
    outbox: sqlite::Outbox,
    channel: Channel,
    _stop: DropGuard,
}

impl TestApp {
    /// With a provider that carries out again what it is told again: the service has to know better.
    pub(crate) async fn start() -> Self {
        Self::with(Sandbox::repeating("sqlite::memory:").await.unwrap()).await
    }

    /// With the provider that ships.
    pub(crate) async fn with_patient_provider() -> Self {
        Self::with(Sandbox::on_sqlite("sqlite::memory:").await.unwrap()).await
    }

    async fn with(sandbox: Sandbox) -> Self {
        let clock = ManualClock::at_now();
        let database = sqlite::open("sqlite::memory:", &MIGRATIONS).await.unwrap();
        let outbox = sqlite::Outbox::open(database.clone(), clock.shared()).await.unwrap();
        let provider = Arc::new(FaultyProvider::new(sandbox));
        let use_cases = use_cases(&database, &outbox, &provider, clock.shared());
        let router = http::router(use_cases.clone(), WEBHOOK_SECRET, clock.shared());
        let (channel, stop) = serve(use_cases.clone()).await;
        Self { use_cases, provider, clock, router, database, outbox, channel, _stop: stop }
    }

    /// The use cases of another process on the same database, which shares no locks with this one.
    pub(crate) fn another_process(&self) -> Arc<App> {
        use_cases(&self.database, &self.outbox, &self.provider, self.clock.shared())
    }

    /// A client that has the credential of a service.
    pub(crate) fn client_of(&self, caller: &str) -> Client {
        self.client(Some(Credential::new(SECRET, caller)))
    }

    pub(crate) fn client(&self, credential: Option<Credential>) -> Client {
        PaymentServiceClient::with_interceptor(self.channel.clone(), WithCredential(credential))
    }

    /// The client that order has.
    pub(crate) fn order(&self) -> Client {
        self.client_of("order")
    }

    /// Authorizes a fresh order; returns it with its payment.
    pub(crate) async fn authorized(&self) -> (Uuid, pb::Payment) {
        let order = Uuid::now_v7();
        let payment = self.authorize(authorize_request(order, "tok_ok")).await.unwrap();
        (order, payment)
    }

    pub(crate) async fn authorize(&self, request: AuthorizeRequest) -> Result<pb::Payment, Status> {
        Ok(self.order().authorize(request).await?.into_inner().payment.unwrap())
    }

    pub(crate) async fn capture(&self, order: Uuid) -> Result<pb::Payment, Status> {
        let request = pb::CaptureRequest { order_id: order.to_string() };
        Ok(self.order().capture(request).await?.into_inner().payment.unwrap())
    }

    pub(crate) async fn void(&self, order: Uuid) -> Result<Option<pb::Payment>, Status> {
        let request = pb::VoidRequest { order_id: order.to_string() };
        Ok(self.order().void(request).await?.into_inner().payment)
    }

    pub(crate) async fn refund(&self, order: Uuid) -> Result<pb::Payment, Status> {
        let request = pb::RefundRequest { order_id: order.to_string() };
        Ok(self.order().refund(request).await?.into_inner().payment.unwrap())
    }

    pub(crate) async fn list(&self, order: Uuid) -> Vec<pb::Payment> {
        let request = pb::ListPaymentsByOrderRequest { order_id: order.to_string() };
        self.order().list_payments_by_order(request).await.unwrap().into_inner().payments
    }

    pub(crate) async fn audit(&self) -> pb::AuditResponse {
        self.client_of("trireme").audit(pb::AuditRequest {}).await.unwrap().into_inner()
    }

    /// The states of an order's charges at the provider.
    pub(crate) async fn charges(&self, order: Uuid) -> Vec<ChargeState> {
        let charges = self.provider.charges(order.into()).await.unwrap();
        charges.iter().map(|charge| charge.state).collect()
    }

    /// The events that wait to be published.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let claimed = self.outbox.claim("test", 1_000).await.unwrap();
        claimed.into_iter().map(|row| row.event).collect()
    }

    /// Their types.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }
}

fn use_cases(
    database: &sqlite::Database,
    outbox: &sqlite::Outbox,
    provider: &Arc<FaultyProvider>,
    clock: SharedClock,
) -> Arc<App> {
    let payments = SqlitePayments::new(database.clone(), Wake::default());
    let memory = Arc::new(Memory::new(clock.clone()));
    let locks = Locks::new(memory, TaskTracker::new(), Policy::default());
    Arc::new(App {
        payments: Arc::new(payments),
        provider: provider.clone(),
        outbox: Arc::new(outbox.clone()),
        locks,
        metrics: Metrics::default(),
        clock,
    })
}

async fn serve(app: Arc<App>) -> (Channel, DropGuard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Routes::new(grpc::service(app, SECRET)).prepare().into_axum_router();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped);
    TaskTracker::new().spawn(async move { server.await.unwrap() });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    (channel, stop.drop_guard())
}

pub(crate) fn authorize_request(order: Uuid, token: &str) -> AuthorizeRequest {
    AuthorizeRequest {
        order_id: order.to_string(),
        user_id: Uuid::nil().to_string(),
        amount: Some(pb::Money { amount: 1_299, currency: "EUR".into() }),
        payment_token: token.into(),
    }
}

/// The same, for the use case itself.
pub(crate) fn authorize_payment(order: OrderId, token: &str) -> AuthorizePayment {
    AuthorizePayment {
        order_id: order,
        user_id: Uuid::nil().into(),
        amount: money::Money::new(1_299, money::Currency::parse("EUR").unwrap()),
        token: PaymentToken::parse(token).unwrap(),
    }
}

/// The fields that a status names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}
