//! Puts the use cases on their adapters: the only place that names both.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use backends::Database;
use chassis::{Health, Tasks};
use clock::SharedClock;
use lock::{Locks, Policy};
use messaging::{Bus, Consumer, Relay, Wake};
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
    app::{App, housekeeping, metrics::Metrics, ports::Payments, sweep},
    config::Config,
};

/// This service's name.
pub const NAME: &str = "payment";
/// This service's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TRIREME_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The lock that readiness takes: no payment can be worked on without locks.
const READY_LOCK: &str = "payment/ready";

/// Opens everything and puts the service together; background work starts at once.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be used.
pub async fn app(config: &Config, clock: SharedClock) -> Result<chassis::App> {
    let (tasks, wake) = (Tasks::new(), Wake::default());
    let store = store(config, &clock, &wake, config.database.migrate).await?;
    let sandbox = provider(config, config.database.migrate).await?;
    let bus = backends::bus(&config.bus, Arc::clone(&clock)).await.context("bus.url")?;
    let locks = Locks::new(
        backends::lock(&config.lock.url, &tasks.tracker(), &tasks.token()).context("lock.url")?,
        tasks.tracker(),
        Policy::default(),
    );

    let database = store.database;
    let outbox = Arc::clone(&database.outbox);
    let relay = Relay::new(Arc::clone(&outbox), Arc::clone(&bus)).woken_by(wake).publishing(config.bus.publish);
    let provider = Arc::new(sandbox.clone());
    let health = Health::new()
        .check("database", database.ping(), |ping| ping())
        .check("lock", locks.clone(), |locks| async move { locks.check(READY_LOCK).await })
        .may_be_away("bus", Arc::clone(&bus), |bus| async move { bus.ping().await })
        .may_be_away("provider", sandbox.clone(), |sandbox| async move { sandbox.ping().await });
    let app = Arc::new(App {
        payments: store.payments,
        provider,
        outbox,
        locks,
        metrics: Metrics::default(),
        clock: Arc::clone(&clock),
    });
    start(&tasks, relay, Arc::clone(&bus), &app);
    tasks.spawn("sandbox", {
        let (sandbox, token) = (sandbox.clone(), tasks.token());
        async move {
            token.run_until_cancelled(sandbox.prune_forever()).await;
            Ok(())
        }
    });
    let admin = chassis::log_filter().merge(chassis::dead_rows(database.dead_rows(), database.revive()));

    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        admin: auth::for_operators(admin, config.service.credential_file.expose()),
        http: http::router(Arc::clone(&app), config.webhook.secret_file.expose(), clock),
        grpc: Routes::new(grpc::service(app, config.service.credential_file.expose())),
        descriptors: &[proto::payment::DESCRIPTORS],
        health,
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
/// A URL names no adapter, or what it names cannot be used.
pub async fn migrate(config: &Config) -> Result<()> {
    store(config, &clock::system(), &Wake::default(), true).await?.database.close().await;
    provider(config, true).await?.close().await;
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
    tasks.spawn("housekeeping", {
        let (app, token) = (Arc::clone(app), token.clone());
        async move {
            housekeeping::run(app, token).await;
            Ok(())
        }
    });
    tasks.spawn("sweeper", {
        let app = Arc::clone(app);
        async move {
            sweep::run(app, token).await;
            Ok(())
        }
    });
}

/// The ports of one database.
struct Store {
    payments: Arc<dyn Payments>,
    database: Database,
}

async fn store(config: &Config, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    open_store(&config.database.url, clock, wake, migrate).await.context("database.url")
}

async fn open_store(url: &str, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    match backends::scheme(url) {
        "sqlite" => {
            let database = ::sqlite::open(url, &sqlite::MIGRATIONS).await?;
            let payments = Arc::new(SqlitePayments::new(database.clone(), wake.clone()));
            Ok(Store { payments, database: Database::sqlite(database, clock.clone()).await? })
        }
        "postgres" | "postgresql" => {
            let pool = ::postgres::open(url, NAME, &postgres::MIGRATIONS, migrate).await?;
            let payments = Arc::new(PostgresPayments::new(pool.clone(), wake.clone()));
            Ok(Store { payments, database: Database::postgres(pool) })
        }
        _ => Err(backends::Error::unknown_scheme(url, ["sqlite", "postgres"]).into()),
    }
}

async fn provider(config: &Config, migrate: bool) -> Result<Sandbox> {
    open_provider(&config.provider.url, migrate).await.context("provider.url")
}

/// `sandbox:` is the sandbox on the `SQLite` database of that path, `sandbox+postgres:` the one on `PostgreSQL`.
async fn open_provider(url: &str, migrate: bool) -> Result<Sandbox> {
    let address = url.split_once(':').map_or("", |(_, address)| address);
    match backends::scheme(url) {
        "sandbox" => Ok(Sandbox::on_sqlite(&format!("sqlite:{address}")).await?),
        "sandbox+postgres" | "sandbox+postgresql" => {
            Ok(Sandbox::on_postgres(&format!("postgres:{address}"), migrate).await?)
        }
        _ => Err(backends::Error::unknown_scheme(url, ["sandbox", "sandbox+postgres"]).into()),
    }
}
