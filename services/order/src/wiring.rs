//! Puts the use cases on their adapters: the only place that names both.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use auth::{Credential, Verifier};
use cache::Cache;
use chassis::{Health, Tasks};
use client::Grpc;
use clock::SharedClock;
use lock::Locks;
use messaging::{Bus, Consumer, Outbox, Policy, Relay, Wake, sqlite::SqliteOutbox};
use sqlite::Database;
use tonic::service::Routes;

use crate::{
    adapters::{
        jwks::JwksClient,
        payment_client::PaymentClient,
        sqlite::{Store, open},
    },
    api::{
        events::{Events, GROUP, KINDS},
        http,
    },
    app::{
        App, Times,
        follow_up::{self, FollowUps, Worker},
        seed::{self, Seeded},
        sweep,
        tokens::Tokens,
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
    let clock = clock::system();
    let tasks = Tasks::new();
    let db = database(config).await?;
    let bus = messaging::open(&config.bus.url, clock.clone()).await.context("bus.url")?;
    let outbox: Arc<dyn Outbox> = Arc::new(SqliteOutbox::open(db.clone(), clock.clone()).await?);
    let relay = Relay::new(outbox, Arc::clone(&bus), clock.clone());
    let store = Arc::new(Store::new(db.clone(), relay.wake()));
    let (follow_ups, worker) = follow_up::queue();
    let app = Arc::new(use_cases(config, clock.clone(), store, follow_ups, &tasks)?);
    let locks = Locks::new(lock::open(&config.lock.url).context("lock.url")?, tasks.tracker(), lock::Policy::default());
    start(&tasks, &app, Background { relay, bus: Arc::clone(&bus), worker, locks });
    let keys = JwksClient::new(&config.auth.jwks_url, client::Config::default());
    let secret = config.service.credential_file.expose();
    let checked = db.clone();
    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        http: http::router(app, Verifier::new(Arc::new(keys), clock), secret),
        grpc: Routes::default(),
        descriptors: &[],
        health: Health::new().check("database", move || {
            let db = checked.clone();
            async move { db.ping().await.map_err(|error| error.to_string()) }
        }),
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            db.close().await;
        })],
    })
}

/// Brings the schema up to date.
///
/// # Errors
/// The database cannot be used.
pub async fn migrate(config: &Config) -> Result<()> {
    database(config).await?.close().await;
    Ok(())
}

/// Puts products into the catalogue, those of `json` or those that the service brings along. The service may run
/// meanwhile.
///
/// # Errors
/// The products cannot be read, or the database cannot be used.
pub async fn seed(config: &Config, json: Option<&str>) -> Result<Seeded> {
    let products = seed::read(json.unwrap_or(seed::PRODUCTS))?;
    let db = database(config).await?;
    let store = Arc::new(Store::new(db.clone(), Wake::default()));
    let app = use_cases(config, clock::system(), store, follow_up::queue().0, &Tasks::new())?;
    let seeded = app.seed(products).await?;
    db.close().await;
    Ok(seeded)
}

async fn database(config: &Config) -> Result<Database> {
    let url = &config.database.url;
    match url.split_once(':') {
        Some(("sqlite", _)) => open(url).await.context("database.url"),
        _ => bail!("database.url: unknown scheme in `{}`: known is sqlite:", scheme(url)),
    }
}

/// What may be shown of a URL that is not known: behind the scheme there could be a password.
fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn use_cases(
    config: &Config,
    clock: SharedClock,
    store: Arc<Store>,
    follow_ups: FollowUps,
    tasks: &Tasks,
) -> Result<App> {
    let credential = Credential::new(config.service.credential_file.expose(), NAME);
    let payment = &config.payment;
    let grpc = Grpc::new(&payment.url, payment.client.clone(), Some(credential), "payment").context("payment.url")?;
    let cache = cache::open(&config.cache.url, &tasks.tracker()).context("cache.url")?;
    Ok(App {
        orders: store.clone(),
        products: store.clone(),
        accounts: store.clone(),
        audit: store,
        payments: Arc::new(PaymentClient::new(grpc)),
        tokens: Tokens::new(Cache::new("payment_token", cache, cache::Policy::default())),
        follow_ups,
        clock,
        times: Times { wait: config.orders.wait, patience: config.orders.patience },
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
