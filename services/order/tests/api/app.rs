//! The service on embedded backends, behind the layers that it is served with.

use std::{sync::Arc, time::Duration};

use auth::{AUDIENCE, Claims, Credential, ISSUER, Issuer, JwkSet, Keys, Role, Signer, Verifier};
use axum::Router;
use chassis::{Tasks, push::Push};
use http::{Method, StatusCode};
use messaging::{Bus, Wake};
use order::{
    adapters::{
        elasticsearch::Indices,
        payment_client::PaymentClient,
        sqlite::{SqliteStore, open},
        user_client::UserClient,
    },
    api,
    app::{
        App, Timeouts, follow_up,
        in_hand::InHand,
        live::{Feed, Limits, Live},
        metrics::Metrics,
        ports::search::SearchServer,
        product_cache::ProductCache,
        search::Search,
        set_aside::SetAside,
        tickets::Tickets,
        token_cache::TokenCache,
    },
};
use serde_json::json;
use testkit::{ManualClock, http::TestRequest};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{customers::FakeCustomers, payment::FakePayments};

pub const SECRET: &str = "a secret that the services share";
/// Pages of this origin may call.
pub const ORIGIN: &str = "https://shop.example";

/// The service.
pub struct TestApp {
    pub router: Router,
    /// The same without layers, to be served.
    pub bare: Router,
    pub use_cases: Arc<App>,
    pub payments: FakePayments,
    pub customers: FakeCustomers,
    pub clock: ManualClock,
    pub database: sqlite::Database,
    pub outbox: sqlite::Outbox,
    pub tasks: Tasks,
    signer: Signer,
    verifier: Verifier,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Somebody with an access token.
#[derive(Clone)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

/// What requests to this service carry.
pub trait RequestExt {
    /// Authenticates as a person.
    fn by(self, person: &Person) -> Self;
    /// Authenticates as another service.
    fn by_service(self, name: &str) -> Self;
    /// Sends an idempotency key.
    fn key(self, key: &str) -> Self;
}

impl RequestExt for TestRequest {
    fn by(self, person: &Person) -> Self {
        self.bearer(&person.token)
    }

    fn by_service(self, name: &str) -> Self {
        self.header("x-service-credential", Credential::new(SECRET, name).header_value())
    }

    fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }
}

impl TestApp {
    /// A service that waits for payment as long as in production.
    pub async fn start() -> Self {
        Self::start_with(Duration::from_secs(3), None).await
    }

    /// A service that hardly waits for payment.
    pub async fn with_short_wait() -> Self {
        Self::start_with(Duration::from_millis(250), None).await
    }

    /// A service with a search server.
    pub async fn searching_on(url: &str) -> Self {
        let indices = Indices::new(&elasticsearch::Client::open(url, unguarded()).unwrap()).unwrap();
        Self::start_with(Duration::from_secs(3), Some(Arc::new(indices))).await
    }

    async fn start_with(payment_wait: Duration, server: Option<Arc<dyn SearchServer>>) -> Self {
        let (clock, tasks) = (ManualClock::at_now(), Tasks::new());
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let (payments, customers) = (FakePayments::default(), FakeCustomers::default());
        let (payment, user) = (payments.serve(&tracker).await, customers.serve(&tracker).await);
        let credential = Credential::new(SECRET, "order");
        let grpc = |address, name| {
            client::Grpc::new(&format!("http://{address}"), unguarded(), Some(credential.clone()), name).unwrap()
        };
        let database = open("sqlite::memory:").await.unwrap();
        let outbox = sqlite::Outbox::open(database.clone(), clock.shared()).await.unwrap();
        let store = Arc::new(SqliteStore::new(database.clone(), Wake::default()));
        let (follow_ups, worker) = follow_up::queue();
        let cache: Arc<dyn cache::Store> = Arc::new(cache::Memory::new(clock::system()));
        let use_cases = Arc::new(App {
            orders: store.clone(),
            products: store.clone(),
            accounts: store.clone(),
            audit: store.clone(),
            search: Search::new(store.clone(), server),
            set_aside: SetAside::default(),
            metrics: Metrics::default(),
            payments: Arc::new(PaymentClient::new(grpc(payment, "payment"))),
            customers: Arc::new(UserClient::new(grpc(user, "user"))),
            token_cache: TokenCache::new(cache::Cache::new("tokens", cache.clone(), TokenCache::policy())),
            product_cache: ProductCache::new(cache),
            follow_ups,
            in_hand: InHand::default(),
            live: Live::new(Limits { open: 40, per_account: 8 }, tasks.streams()),
            tickets: Tickets::new(SECRET, Arc::new(limit::Memory::default()), clock.shared()),
            clock: clock.shared(),
            timeouts: Timeouts { payment_wait, pending: Duration::from_mins(15) },
        });
        tracker.spawn(worker.run(use_cases.clone(), stop.clone()));
        let signer = Signer::from_pkcs8("test", &Signer::generate_pkcs8().unwrap()).unwrap();
        let verifier = verifier(&signer, &clock, &tracker, &stop);
        let cors = chassis::Cors { origins: vec![ORIGIN.to_owned()] };
        let push = Push::new(&tasks, &cors);
        let graphql =
            api::graphql::router(use_cases.clone(), verifier.clone(), push.clone(), api::graphql::Options::default());
        let bare = api::http::router(use_cases.clone(), verifier.clone(), push, SECRET).merge(graphql);
        let router = layered(bare.clone(), &cors);
        Self {
            router,
            bare,
            use_cases,
            payments,
            customers,
            clock,
            database,
            outbox,
            tasks,
            signer,
            verifier,
            tracker,
            stop,
        }
    }

    /// Serves GraphQL with these options and nothing else.
    pub fn serve_graphql(&mut self, options: api::graphql::Options) {
        let cors = chassis::Cors::default();
        let push = Push::new(&self.tasks, &cors);
        let graphql = api::graphql::router(self.use_cases.clone(), self.verifier.clone(), push, options);
        self.router = layered(graphql, &cors);
    }

    /// Tells those who watch what comes on a bus.
    pub fn follow(&self, bus: Arc<dyn Bus>) {
        let (live, clock) = (self.use_cases.live.clone(), self.clock.shared());
        let feed = Feed::new(live, bus, api::live::KINDS, api::live::translate, clock);
        self.tracker.spawn(feed.run(self.stop.clone()));
    }

    /// The same service for which tokens of another issuer count too.
    pub fn trusting(&self, issuer: Issuer, keys: Arc<dyn Keys>) -> Router {
        let own = Arc::new(JwkSet { keys: vec![self.signer.jwk().clone()] });
        let (clock, tracker, stop) = (self.clock.shared(), self.tracker.clone(), self.stop.clone());
        let verifier = Verifier::trusting(Some((issuer, keys)), own, clock, tracker, stop);
        let cors = chassis::Cors::default();
        let push = Push::new(&self.tasks, &cors);
        layered(api::http::router(self.use_cases.clone(), verifier, push, SECRET), &cors)
    }

    /// A customer.
    pub fn customer(&self) -> Person {
        self.person(Role::Customer)
    }

    /// An operator.
    pub fn operator(&self) -> Person {
        self.person(Role::Operator)
    }

    fn person(&self, role: Role) -> Person {
        let id = Uuid::new_v4();
        Person { id, token: self.token(id, role, 600) }
    }

    /// A token that is good for so many seconds.
    pub fn token(&self, id: Uuid, role: Role, seconds: i64) -> String {
        let now = clock::Clock::now(&self.clock).unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: id,
            sid: Uuid::new_v4(),
            iat: now,
            exp: now + seconds,
            jti: Uuid::new_v4(),
            role,
        };
        self.signer.sign(&claims).unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self.router.clone(), method, path)
    }

    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Adds a product over HTTP and gives its id.
    pub async fn product(&self, sku: &str, amount: i64, stock: i64) -> String {
        self.product_in(sku, amount, "EUR", stock).await
    }

    pub async fn product_in(&self, sku: &str, amount: i64, currency: &str, stock: i64) -> String {
        let body = json!({
            "sku": sku, "name": format!("Product {sku}"), "description": "",
            "price": { "amount": amount, "currency": currency }, "stock": stock,
        });
        let response = self.post("/v1/products").by(&self.operator()).key(sku).json(&body).send().await;
        assert_eq!(response.status, StatusCode::CREATED, "{response:?}");
        response.id()
    }

    pub async fn available(&self, product: &str) -> i64 {
        self.get(&format!("/v1/products/{product}")).send().await.body["available"].as_i64().unwrap()
    }

    /// A request for an order of one product.
    pub fn order(&self, person: &Person, key: &str, product: &str, quantity: i64) -> TestRequest {
        self.order_by(person, key, product, quantity, "tok_ok")
    }

    pub fn order_by(&self, person: &Person, key: &str, product: &str, quantity: i64, token: &str) -> TestRequest {
        let body = json!({ "items": [{ "product_id": product, "quantity": quantity }], "payment_token": token });
        self.post("/v1/orders").by(person).key(key).json(&body)
    }

    /// Places an order that is confirmed, and gives its id.
    pub async fn confirmed(&self, person: &Person, product: &str) -> String {
        let response = self.order(person, &Uuid::new_v4().to_string(), product, 1).send().await;
        assert_eq!((response.status, response.text("status")), (StatusCode::CREATED, "confirmed"), "{response:?}");
        response.id()
    }

    /// The status of an order.
    pub async fn status(&self, order: &str) -> String {
        let response = self.get(&format!("/v1/orders/{order}")).by(&self.operator()).send().await;
        response.text("status").to_owned()
    }

    /// Makes an order or a product unreadable.
    pub async fn spoil(&self, id: &str) {
        let id = Uuid::try_parse(id).unwrap().as_bytes().to_vec();
        for spoil in [
            "UPDATE orders SET items = 'nonsense' WHERE id = ?1",
            "UPDATE products SET currency = 'nonsense' WHERE id = ?1",
        ] {
            sqlx::query(spoil).bind(id.clone()).execute(&self.database.write).await.unwrap();
        }
    }

    /// The kinds of all events of orders so far.
    pub async fn events(&self) -> Vec<String> {
        let claimed = messaging::Outbox::claim(&self.outbox, "test", 10_000).await.unwrap();
        claimed.into_iter().map(|row| row.event.kind).filter(|kind| kind.starts_with("order.")).collect()
    }

    /// Lets time pass and runs the sweeper once.
    pub async fn sweep_after(&self, by: Duration) {
        self.clock.advance(by);
        self.use_cases.sweep(&self.stop).await.unwrap();
    }
}

/// How others are called: the breaker and the budget have their own tests; here they would make answers depend on each
/// other.
fn unguarded() -> client::Config {
    let breaker = client::BreakerConfig { window: usize::MAX, ..client::BreakerConfig::default() };
    client::Config { retries: 0, breaker, ..client::Config::default() }
}

fn layered(router: Router, cors: &chassis::Cors) -> Router {
    let limits = chassis::Limits { max_in_flight: 1024, ..chassis::Limits::default() };
    chassis::layers(router, &limits, cors)
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tracker.close();
    }
}

/// Takes what this signs.
fn verifier(signer: &Signer, clock: &ManualClock, tracker: &TaskTracker, stop: &CancellationToken) -> Verifier {
    let keys = JwkSet { keys: vec![signer.jwk().clone()] };
    Verifier::new(Arc::new(keys), clock.shared(), tracker.clone(), stop.clone())
}
