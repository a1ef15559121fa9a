//! Puts the service together: the only place that names both a port and its adapter.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use chassis::{App, Health, Tasks};
use clock::SharedClock;
use lock::{Locks, Policy};
use messaging::{Bus, Consumer, Outbox, Relay, sqlite::SqliteOutbox};
use tonic::service::Routes;

use crate::{
    adapters::{
        sandbox::Sandbox,
        sqlite::{MIGRATIONS, SqlitePayments},
    },
    api::{
        events::{CancelledOrders, GROUP, KINDS},
        grpc, http,
    },
    app::Cashier,
    config::Config,
};

/// The service's name.
pub const NAME: &str = "payment";
/// The service's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TRIREME_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Opens everything and puts the service together; background work starts at once.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be opened.
pub async fn app(config: &Config) -> Result<App> {
    let clock = clock::system();
    let tasks = Tasks::new();
    let (database, outbox) = open_database(&config.database.url, &clock).await?;
    let sandbox = open_provider(&config.provider.url).await?;
    let bus = messaging::open(&config.bus.url, Arc::clone(&clock)).await.context("bus.url")?;
    let locks = Locks::new(lock::open(&config.lock.url)?, tasks.tracker(), Policy::default());

    let shared: Arc<dyn Outbox> = Arc::new(outbox);
    let relay = Relay::new(Arc::clone(&shared), Arc::clone(&bus), Arc::clone(&clock));
    let payments = SqlitePayments::new(database.clone(), relay.wake());
    let provider = Arc::new(sandbox.clone());
    let cashier = Cashier::new(Arc::new(payments), provider, shared, locks, Arc::clone(&clock));
    start(&tasks, relay, Arc::clone(&bus), &cashier);

    let checked = database.clone();
    Ok(App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        http: http::router(cashier.clone(), config.webhook.secret_file.expose(), clock),
        grpc: Routes::new(grpc::service(cashier, config.service.credential_file.expose())),
        descriptors: &[proto::DESCRIPTORS],
        health: Health::new().check("database", move || {
            let database = checked.clone();
            async move { database.ping().await.map_err(|error| error.to_string()) }
        }),
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            database.close().await;
            sandbox.close().await;
        })],
    })
}

/// Brings the schemas up to date and does nothing else.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be opened.
pub async fn migrate(config: &Config) -> Result<()> {
    open_database(&config.database.url, &clock::system()).await?.0.close().await;
    open_provider(&config.provider.url).await?.close().await;
    Ok(())
}

fn start(tasks: &Tasks, relay: Relay, bus: Arc<dyn Bus>, cashier: &Cashier) {
    let (token, tracker) = (tasks.token(), tasks.tracker());
    let handler = Arc::new(CancelledOrders::new(cashier.clone()));
    let consumer = Consumer::new(bus, GROUP, KINDS, handler, messaging::Policy::default());
    tasks.spawn("relay", {
        let token = token.clone();
        async move { Ok(relay.run(token).await?) }
    });
    tasks.spawn("consumer", {
        let token = token.clone();
        async move { Ok(consumer.run(token, tracker).await?) }
    });
    tasks.spawn("sweeper", {
        let cashier = cashier.clone();
        async move {
            cashier.sweep_until(token).await;
            Ok(())
        }
    });
}

async fn open_database(url: &str, clock: &SharedClock) -> Result<(sqlite::Database, SqliteOutbox)> {
    match scheme(url) {
        "sqlite" => {
            let database = sqlite::open(url, &MIGRATIONS).await.context("database.url")?;
            let outbox = SqliteOutbox::open(database.clone(), Arc::clone(clock)).await?;
            Ok((database, outbox))
        }
        _ => bail!("database.url: unknown scheme `{}`; known is sqlite:", scheme(url)),
    }
}

/// `sandbox://PATH` and `sandbox::memory:` are the sandbox on the `SQLite` database of that name.
async fn open_provider(url: &str) -> Result<Sandbox> {
    match url.split_once(':') {
        Some(("sandbox", place)) => Sandbox::open(&format!("sqlite:{place}")).await.context("provider.url"),
        _ => bail!("provider.url: unknown scheme `{}`; known is sandbox:", scheme(url)),
    }
}

fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}
