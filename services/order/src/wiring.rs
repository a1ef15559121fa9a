//! Puts the use cases on their adapters: the only place that names both.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use auth::{Credential, Verifier};
use cache::Cache;
use chassis::{Health, Tasks};
use client::Grpc;
use clock::SharedClock;
use futures::future::BoxFuture;
use lock::Locks;
use messaging::{Bus, Consumer, Outbox, Policy, Relay, Wake};
use tonic::service::Routes;

use crate::{
    adapters::{
        jwks::JwksClient,
        mongodb::{self, MongoStore},
        payment_client::PaymentClient,
        sqlite::{self, SqliteStore},
    },
    api::{
        events::{Events, GROUP, KINDS},
        http,
    },
    app::{
        App, Timeouts,
        follow_up::{self, FollowUps, Worker},
        ports::{Accounts, Audit, Orders, Products},
        product_cache::ProductCache,
        seed::{self, Seeded},
        sweep,
        token_cache::TokenCache,
    },
    config::Config,
};

/// This service's name.
pub const NAME: &str = "order";
/// This service's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TRIREME_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Opens everything and puts the service together; background work starts at once.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be used.
pub async fn service(config: &Config) -> Result<chassis::App> {
    let (clock, wake, tasks) = (clock::system(), Wake::default(), Tasks::new());
    let store = store(config, &clock, &wake, config.database.migrate).await?;
    let bus = backends::bus(&config.bus, clock.clone()).await.context("bus.url")?;
    let relay = Relay::new(Arc::clone(&store.outbox), Arc::clone(&bus), clock.clone()).woken_by(wake);
    let (follow_ups, worker) = follow_up::queue();
    let app = Arc::new(use_cases(config, clock.clone(), &store, follow_ups, &tasks)?);
    let locks = Locks::new(
        backends::lock(&config.lock.url, &tasks.tracker(), &tasks.token()).context("lock.url")?,
        tasks.tracker(),
        lock::Policy::default(),
    );
    start(&tasks, &app, Background { relay, bus: Arc::clone(&bus), worker, locks });
    let keys = JwksClient::new(&config.auth.jwks_url, client::Config::default());
    let secret = config.service.credential_file.expose();
    let Store { ping, close, .. } = store;
    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        http: http::router(app, Verifier::new(Arc::new(keys), clock), secret),
        grpc: Routes::default(),
        descriptors: &[],
        health: Health::new().check("database", ping),
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            close.await;
        })],
    })
}

/// Brings the schema and the indexes up to date.
///
/// # Errors
/// The database cannot be used.
pub async fn migrate(config: &Config) -> Result<()> {
    store(config, &clock::system(), &Wake::default(), true).await?.close.await;
    Ok(())
}

/// Puts products into the catalogue, those of `json` or those that the service brings along. The service may run
/// meanwhile.
///
/// # Errors
/// The products cannot be read, or the database cannot be used.
pub async fn seed(config: &Config, json: Option<&str>) -> Result<Seeded> {
    let products = seed::read(json.unwrap_or(seed::PRODUCTS))?;
    let clock = clock::system();
    let store = store(config, &clock, &Wake::default(), config.database.migrate).await?;
    let app = use_cases(config, clock, &store, follow_up::queue().0, &Tasks::new())?;
    let seeded = app.seed(products).await?;
    store.close.await;
    Ok(seeded)
}

/// The ports of one database.
struct Store {
    orders: Arc<dyn Orders>,
    products: Arc<dyn Products>,
    accounts: Arc<dyn Accounts>,
    audit: Arc<dyn Audit>,
    outbox: Arc<dyn Outbox>,
    ping: Ping,
    close: BoxFuture<'static, ()>,
}

type Ping = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

async fn store(config: &Config, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    let url = &config.database.url;
    match scheme(url) {
        "sqlite" => on_sqlite(url, clock, wake).await,
        "mongodb" | "mongodb+srv" => on_mongodb(url, clock, wake, migrate).await,
        other => bail!("unknown scheme `{other}`; known are sqlite:, mongodb:, mongodb+srv:"),
    }
    .context("database.url")
}

async fn on_sqlite(url: &str, clock: &SharedClock, wake: &Wake) -> Result<Store> {
    let db = sqlite::open(url).await?;
    let outbox = ::sqlite::Outbox::open(db.clone(), clock.clone()).await?;
    let checked = db.clone();
    let ping: Ping = Box::new(move || {
        let db = checked.clone();
        Box::pin(async move { db.ping().await.map_err(|error| error.to_string()) })
    });
    let store = SqliteStore::new(db.clone(), wake.clone());
    Ok(of(store, outbox, ping, Box::pin(async move { db.close().await })))
}

async fn on_mongodb(url: &str, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    let db = ::mongodb::connect(url, NAME).await?;
    // A service that cannot reach its database should say so when it starts.
    ::mongodb::ping(&db).await?;
    if migrate {
        mongodb::prepare(&db).await.context("cannot make the indexes")?;
    }
    let outbox = mongodb::outbox(&db, clock.clone());
    let checked = db.clone();
    let ping: Ping = Box::new(move || {
        let db = checked.clone();
        Box::pin(async move { ::mongodb::ping(&db).await.map_err(|error| error.to_string()) })
    });
    let store = MongoStore::new(&db, wake.clone(), clock.clone());
    Ok(of(store, outbox, ping, Box::pin(async move { db.client().clone().shutdown().await })))
}

fn of<S: Orders + Products + Accounts + Audit + 'static>(
    store: S,
    outbox: impl Outbox + 'static,
    ping: Ping,
    close: BoxFuture<'static, ()>,
) -> Store {
    let store = Arc::new(store);
    Store {
        orders: store.clone(),
        products: store.clone(),
        accounts: store.clone(),
        audit: store,
        outbox: Arc::new(outbox),
        ping,
        close,
    }
}

/// What may be shown of a URL that is not known: behind the scheme there could be a password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn use_cases(config: &Config, clock: SharedClock, store: &Store, follow_ups: FollowUps, tasks: &Tasks) -> Result<App> {
    let credential = Credential::new(config.service.credential_file.expose(), NAME);
    let payment = &config.payment;
    let grpc = Grpc::new(&payment.url, payment.client.clone(), Some(credential), "payment").context("payment.url")?;
    let cache = backends::cache(&config.cache.url, &tasks.tracker(), &tasks.token()).context("cache.url")?;
    Ok(App {
        orders: Arc::clone(&store.orders),
        products: Arc::clone(&store.products),
        accounts: Arc::clone(&store.accounts),
        audit: Arc::clone(&store.audit),
        payments: Arc::new(PaymentClient::new(grpc)),
        token_cache: TokenCache::new(Cache::new("payment_token", Arc::clone(&cache), cache::Policy::default())),
        product_cache: ProductCache::new(Cache::new("product", cache, ProductCache::policy())),
        follow_ups,
        clock,
        timeouts: Timeouts { payment_wait: config.orders.payment_wait, pending: config.orders.pending },
    })
}

/// What works beside the requests.
struct Background {
    relay: Relay,
    bus: Arc<dyn Bus>,
    worker: Worker,
    locks: Locks,
}

fn start(tasks: &Tasks, app: &Arc<App>, background: Background) {
    let Background { relay, bus, worker, locks } = background;
    let token = tasks.token();
    tasks.spawn("relay", async move { Ok(relay.run(token).await?) });
    let consumer = Consumer::new(bus, GROUP, KINDS, Arc::new(Events::new(Arc::clone(app))), Policy::default());
    let (token, tracker) = (tasks.token(), tasks.tracker());
    tasks.spawn("consumer", async move { Ok(consumer.run(token, tracker).await?) });
    let (token, followed) = (tasks.token(), Arc::clone(app));
    tasks.spawn("follow-ups", async move {
        worker.run(followed, token).await;
        Ok(())
    });
    let (token, swept) = (tasks.token(), Arc::clone(app));
    tasks.spawn("sweeper", async move {
        sweep::run(swept, locks, token).await;
        Ok(())
    });
}
