//! Puts the service together: the only place that names both a port and its adapter.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use chassis::{Health, Tasks};
use clock::SharedClock;
use futures::future::BoxFuture;
use lock::{Locks, Policy};
use messaging::{Bus, Consumer, Outbox, Relay, Wake};
use tonic::service::Routes;

use crate::{
    adapters::{
        postgres::{self, PostgresPayments},
        sandbox::Sandbox,
        sqlite::{self, SqlitePayments},
    },
    api::{
        events::{CancelledOrders, GROUP, KINDS},
        grpc, http,
    },
    app::{App, ports::Payments},
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
pub async fn app(config: &Config) -> Result<chassis::App> {
    let clock = clock::system();
    let tasks = Tasks::new();
    let wake = Wake::default();
    let store = open_store(config, &clock, &wake, config.database.migrate).await?;
    let sandbox = open_provider(&config.provider.url, config.database.migrate).await?;
    let bus = backends::bus(&config.bus, Arc::clone(&clock)).await.context("bus.url")?;
    let locks = Locks::new(
        backends::lock(&config.lock.url, &tasks.tracker(), &tasks.token()).context("lock.url")?,
        tasks.tracker(),
        Policy::default(),
    );

    let outbox = store.outbox;
    let relay = Relay::new(Arc::clone(&outbox), Arc::clone(&bus), Arc::clone(&clock)).woken_by(wake);
    let provider = Arc::new(sandbox.clone());
    let app = Arc::new(App { payments: store.payments, provider, outbox, locks, clock: Arc::clone(&clock) });
    start(&tasks, relay, Arc::clone(&bus), &app);

    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        http: http::router(Arc::clone(&app), config.webhook.secret_file.expose(), clock),
        grpc: Routes::new(grpc::service(app, config.service.credential_file.expose())),
        descriptors: &[proto::DESCRIPTORS],
        health: Health::new().check("database", store.ping),
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            store.close.await;
            sandbox.close().await;
        })],
    })
}

/// Brings the schemas up to date and does nothing else.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be opened.
pub async fn migrate(config: &Config) -> Result<()> {
    open_store(config, &clock::system(), &Wake::default(), true).await?.close.await;
    open_provider(&config.provider.url, true).await?.close().await;
    Ok(())
}

fn start(tasks: &Tasks, relay: Relay, bus: Arc<dyn Bus>, app: &Arc<App>) {
    let (token, tracker) = (tasks.token(), tasks.tracker());
    let handler = Arc::new(CancelledOrders::new(Arc::clone(app)));
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
        let app = Arc::clone(app);
        async move {
            app.sweep_until(token).await;
            Ok(())
        }
    });
}

/// The ports of one database.
struct Store {
    payments: Arc<dyn Payments>,
    outbox: Arc<dyn Outbox>,
    ping: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
    close: BoxFuture<'static, ()>,
}

async fn open_store(config: &Config, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    let url = &config.database.url;
    match scheme(url) {
        "sqlite" => on_sqlite(url, clock, wake).await,
        "postgres" | "postgresql" => on_postgres(url, clock, wake, migrate).await,
        other => bail!("unknown scheme `{other}`; known are sqlite:, postgres:"),
    }
    .context("database.url")
}

async fn on_sqlite(url: &str, clock: &SharedClock, wake: &Wake) -> Result<Store> {
    let database = ::sqlite::open(url, &sqlite::MIGRATIONS).await?;
    let outbox = ::sqlite::Outbox::open(database.clone(), Arc::clone(clock)).await?;
    let checked = database.clone();
    Ok(Store {
        payments: Arc::new(SqlitePayments::new(database.clone(), wake.clone())),
        outbox: Arc::new(outbox),
        ping: Box::new(move || {
            let database = checked.clone();
            Box::pin(async move { database.ping().await.map_err(|error| error.to_string()) })
        }),
        close: Box::pin(async move { database.close().await }),
    })
}

async fn on_postgres(url: &str, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    let pool = ::postgres::open(url, NAME, &postgres::MIGRATIONS, migrate).await?;
    let checked = pool.clone();
    Ok(Store {
        payments: Arc::new(PostgresPayments::new(pool.clone(), wake.clone())),
        outbox: Arc::new(::postgres::Outbox::new(pool.clone(), Arc::clone(clock))),
        ping: Box::new(move || {
            let pool = checked.clone();
            Box::pin(async move { ::postgres::ping(&pool).await.map_err(|error| error.to_string()) })
        }),
        close: Box::pin(async move { pool.close().await }),
    })
}

/// `sandbox:` is the sandbox on the `SQLite` database of that name, `sandbox+postgres:` the one on `PostgreSQL`.
async fn open_provider(url: &str, migrate: bool) -> Result<Sandbox> {
    let (scheme, place) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sandbox" => Sandbox::on_sqlite(&format!("sqlite:{place}")).await.context("provider.url"),
        "sandbox+postgres" | "sandbox+postgresql" => {
            Sandbox::on_postgres(&format!("postgres:{place}"), migrate).await.context("provider.url")
        }
        other => bail!("provider.url: unknown scheme `{other}`; known are sandbox:, sandbox+postgres:"),
    }
}

fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}
