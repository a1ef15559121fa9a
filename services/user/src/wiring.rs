//! Puts the use cases on their adapters: the only place that names both.

use std::sync::{Arc, Weak};

use anyhow::{Context as _, Result};
use auth::{Callers, Credential, Verifier};
use backends::Database;
use cache::Cache;
use chassis::{Health, Tasks};
use client::Http;
use clock::SharedClock;
use messaging::{Bus, Consumer, Policy, Relay, Wake};
use proto::user::v1::user_service_server::UserServiceServer;
use tokio::sync::Notify;
use tonic::service::Routes;

use crate::{
    adapters::{
        argon2::Argon2id,
        log_mail::LogMail,
        order_client::OrderClient,
        postgres::{self, PostgresStore},
        smtp::Smtp,
        sqlite::{self, SqliteStore},
    },
    api::{Api, events, grpc, http, tasks},
    app::{
        self, App, Attempts, KeyRing, MailQueue, housekeeping,
        mail_queue::{self, Jobs},
        ports::{Accounts, AuditTrail, Closings, MailTokens, Mails, Notifications, Sessions, SigningKeys},
        sweep,
    },
    config::Config,
    domain::{Email, Role},
};

/// This service's name.
pub const NAME: &str = "user";
/// This service's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TRIREME_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Who may call with a service credential.
const CALLERS: [&str; 2] = ["order", "trireme"];

/// Opens everything and puts the service together; background work starts at once.
///
/// # Errors
/// A URL names no adapter, or what it names cannot be used.
pub async fn app(config: &Config, clock: SharedClock) -> Result<chassis::App> {
    let (tasks, wake) = (Tasks::new(), Wake::default());
    let store = store(config, &clock, &wake, config.database.migrate).await?;
    let bus = backends::bus(&config.bus, clock.clone()).await.context("bus.url")?;
    let relay =
        Relay::new(Arc::clone(&store.database.outbox), Arc::clone(&bus)).woken_by(wake).publishing(config.bus.publish);
    let (mail_queue, jobs) = MailQueue::new();
    let order = order(config);
    let app = Arc::new(use_cases(config, clock.clone(), &store, (&tasks, mail_queue), order.clone()).await?);
    let health = health(&app, order, &bus).check("database", store.database.ping(), |ping| ping());
    start(&tasks, relay, consumers(&app, &bus), &app);
    start_mail(&tasks, &app, jobs);
    let api = Api {
        verifier: Verifier::new(app.keys.clone(), clock, tasks.tracker(), tasks.token()),
        callers: Callers::new(config.service.credential_file.expose(), &CALLERS),
        app,
    };
    let database = store.database;
    let admin = chassis::log_filter().merge(chassis::dead_rows(database.dead_rows(), database.revive()));
    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        admin: auth::for_operators(admin, config.service.credential_file.expose()),
        http: http::router(api.clone()),
        grpc: Routes::new(UserServiceServer::new(grpc::Users::new(api))),
        descriptors: &[proto::user::DESCRIPTORS],
        health,
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            database.close().await;
        })],
    })
}

/// Order, over its internal interface.
fn order(config: &Config) -> Http {
    let credential = Credential::new(config.service.credential_file.expose(), NAME);
    Http::new(&config.order.url, config.order.client.clone(), Some(credential), "order")
}

/// Nobody logs in without a key that signs; what else there is may be away.
fn health(app: &Arc<App>, order: Http, bus: &Arc<dyn Bus>) -> Health {
    Health::new()
        .check("signing_key", Arc::clone(&app.keys), async |keys| keys.check())
        .may_be_away("bus", Arc::clone(bus), |bus| async move { bus.ping().await })
        .may_be_away("cache", app.cache.clone(), |cache| async move { cache.check().await })
        .may_be_away("order", order, async |order| order.check())
        // Readiness is asked until the end, which would wait for the connection of the outbox that the use cases have.
        .may_be_away("mail", Arc::downgrade(app), async |app: Weak<App>| {
            app.upgrade().map_or(Ok(()), |app| app.mail_queue.check())
        })
}

/// Brings the schema up to date.
///
/// # Errors
/// The database cannot be used.
pub async fn migrate(config: &Config) -> Result<()> {
    store(config, &clock::system(), &Wake::default(), true).await?.database.close().await;
    Ok(())
}

/// Gives a role, on the database: the service may run meanwhile.
///
/// # Errors
/// No such account; the database cannot be used.
pub async fn grant(config: &Config, email: &Email, role: Role) -> Result<()> {
    let clock = clock::system();
    let store = store(config, &clock, &Wake::default(), config.database.migrate).await?;
    app::grant_role(&*store.accounts, email, role, clock.now()).await?;
    store.database.close().await;
    Ok(())
}

/// Has another signing key take over soon, on the database: the services that run read it from there. Says when, as RFC 3339
/// has it.
///
/// # Errors
/// The database cannot be used.
pub async fn rotate_keys(config: &Config, clock: SharedClock) -> Result<String> {
    let store = store(config, &clock, &Wake::default(), config.database.migrate).await?;
    let keys = KeyRing::open(Arc::clone(&store.keys), Arc::clone(&clock), config.tokens.rotation()).await?;
    let takeover = keys.rotate_on_demand().await?;
    store.database.close().await;
    Ok(clock::rfc3339(takeover))
}

/// The ports of one database.
struct Store {
    accounts: Arc<dyn Accounts>,
    closings: Arc<dyn Closings>,
    sessions: Arc<dyn Sessions>,
    keys: Arc<dyn SigningKeys>,
    mail_tokens: Arc<dyn MailTokens>,
    notifications: Arc<dyn Notifications>,
    audit_trail: Arc<dyn AuditTrail>,
    database: Database,
}

async fn store(config: &Config, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    open_store(&config.database.url, clock, wake, migrate).await.context("database.url")
}

async fn open_store(url: &str, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    match backends::scheme(url) {
        "sqlite" => {
            let database = ::sqlite::open(url, &sqlite::MIGRATIONS).await?;
            let store = SqliteStore::new(database.clone(), wake.clone());
            Ok(Store::new(store, Database::sqlite(database, clock.clone()).await?))
        }
        "postgres" | "postgresql" => {
            let pool = ::postgres::open(url, NAME, &postgres::MIGRATIONS, migrate).await?;
            let store = PostgresStore::new(pool.clone(), wake.clone());
            Ok(Store::new(store, Database::postgres(pool)))
        }
        _ => Err(backends::Error::unknown_scheme(url, ["sqlite", "postgres"]).into()),
    }
}

impl Store {
    fn new<S>(store: S, database: Database) -> Self
    where
        S: Accounts + AuditTrail + Closings + MailTokens + Notifications + Sessions + SigningKeys + Clone + 'static,
    {
        Self {
            accounts: Arc::new(store.clone()),
            closings: Arc::new(store.clone()),
            sessions: Arc::new(store.clone()),
            keys: Arc::new(store.clone()),
            mail_tokens: Arc::new(store.clone()),
            notifications: Arc::new(store.clone()),
            audit_trail: Arc::new(store),
            database,
        }
    }
}

async fn use_cases(
    config: &Config,
    clock: SharedClock,
    store: &Store,
    (tasks, mail_queue): (&Tasks, MailQueue),
    order: Http,
) -> Result<App> {
    let keys = KeyRing::open(Arc::clone(&store.keys), clock.clone(), config.tokens.rotation()).await?;
    let cache = backends::cache(&config.cache.url, &tasks.tracker(), &tasks.token()).context("cache.url")?;
    let policy = cache::Policy { ttl: config.cache.ttl, ..cache::Policy::default() };
    Ok(App {
        accounts: Arc::clone(&store.accounts),
        closings: Arc::clone(&store.closings),
        sessions: Arc::clone(&store.sessions),
        audit_trail: Arc::clone(&store.audit_trail),
        mail_tokens: Arc::clone(&store.mail_tokens),
        notifications: Arc::clone(&store.notifications),
        notifies: config.mail.notifications,
        mails: mails(config)?,
        mail_queue,
        outbox: Arc::clone(&store.database.outbox),
        attempts: Attempts::new(backends::limiter(&config.cache.url).context("cache.url")?),
        passwords: Arc::new(Argon2id::new((&config.passwords).into()).context("passwords")?),
        orders: Arc::new(OrderClient::new(order)),
        keys: Arc::new(keys),
        cache: Cache::new("user", cache, policy),
        clock,
        session: config.tokens.sessions(),
        closing: (&config.closing).into(),
        closing_due: Notify::new(),
    })
}

fn mails(config: &Config) -> Result<Arc<dyn Mails>> {
    let url = &config.mail.url;
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("smtp" | "smtps") => Ok(Arc::new(Smtp::open(url, &config.mail.from).context("mail.url")?)),
        Some("log") => Ok(Arc::new(LogMail::open(url).context("mail.url: either log: or log:?show=token")?)),
        _ => Err(backends::Error::unknown_scheme(url, ["log", "smtp", "smtps"])).context("mail.url"),
    }
}

fn consumers(app: &Arc<App>, bus: &Arc<dyn Bus>) -> [(&'static str, Consumer); 3] {
    let orders = Arc::new(events::OrderEvents::new(Arc::clone(app)));
    let caches = Arc::new(events::CacheInvalidator::new(Arc::clone(app)));
    let mails = Arc::new(tasks::MailTasks::new(Arc::clone(app)));
    let bus = || Arc::clone(bus);
    [
        ("consumer", Consumer::new(bus(), events::ORDER_GROUP, events::ORDER_KINDS, orders, Policy::default())),
        (
            "cache invalidator",
            Consumer::new(bus(), events::CACHE_GROUP, events::CACHE_KINDS, caches, Policy::default()),
        ),
        ("notifications", Consumer::new(bus(), tasks::MAIL_GROUP, tasks::MAIL_KINDS, mails, Policy::tasks())),
    ]
}

fn start(tasks: &Tasks, relay: Relay, consumers: [(&'static str, Consumer); 3], app: &Arc<App>) {
    let token = tasks.token();
    tasks.spawn("relay", async move { Ok(relay.run(token).await?) });
    for (name, consumer) in consumers {
        let (token, tracker) = (tasks.token(), tasks.tracker());
        tasks.spawn(name, async move { Ok(consumer.run(token, tracker).await?) });
    }
    let (token, closings) = (tasks.token(), Arc::clone(app));
    tasks.spawn("sweeper", async move {
        sweep::run(closings, token).await;
        Ok(())
    });
    let (token, house) = (tasks.token(), Arc::clone(app));
    tasks.spawn("housekeeping", async move {
        housekeeping::run(house, token).await;
        Ok(())
    });
}

fn start_mail(tasks: &Tasks, app: &Arc<App>, jobs: Jobs) {
    let (token, app) = (tasks.token(), Arc::clone(app));
    tasks.spawn("mail", async move {
        mail_queue::run(app, jobs, token).await;
        Ok(())
    });
}
