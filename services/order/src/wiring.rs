//! Puts the use cases on their adapters: the only place that names both.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use auth::{Credential, Keys, Verifier};
use backends::Database;
use cache::Cache;
use chassis::{Health, Tasks, push::Push};
use client::Grpc;
use clock::SharedClock;
use lock::Locks;
use messaging::{Bus, Consumer, Policy, Relay, Wake};
use tonic::service::Routes;

use crate::{
    adapters::{
        elasticsearch::Indices,
        jwks::JwksClient,
        mongodb::{self, MongoStore},
        payment_client::PaymentClient,
        sqlite::{self, SqliteStore},
        user_client::UserClient,
    },
    api::{
        events::{Events, GROUP, INDEX_GROUP, INDEX_KINDS, IndexEvents, KINDS},
        graphql::{self, Documents},
        http, live,
    },
    app::{
        App, Timeouts,
        follow_up::{self, FollowUps, Worker},
        in_hand::InHand,
        live::{Feed, Limits, Live},
        metrics::Metrics,
        ports::{
            Accounts, Audit, Orders, Products,
            search::{Indexed, SearchProducts, SearchServer},
        },
        product_cache::ProductCache,
        reindex,
        search::Search,
        seed::{self, Seeded},
        set_aside::SetAside,
        sweep,
        tickets::Tickets,
        token_cache::TokenCache,
    },
    config::{Auth, Callee, Config, Graphql},
};

pub use crate::app::reindex::Progress;

/// This service's name.
pub const NAME: &str = "order";
/// This service's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TRIREME_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The lock that the check of locks takes.
const READY_LOCK: &str = "order/ready";

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
    let (follow_ups, worker) = follow_up::queue();
    let (app, health) = use_cases(config, clock.clone(), &store, follow_ups, &tasks)?;
    let app = Arc::new(app);
    let locks = Locks::new(
        backends::lock(&config.lock.url, &tasks.tracker(), &tasks.token()).context("lock.url")?,
        tasks.tracker(),
        lock::Policy::default(),
    );
    let health = health
        .check("database", store.database.ping(), |ping| ping())
        .may_be_away("bus", Arc::clone(&bus), |bus| async move { bus.ping().await })
        .may_be_away("lock", locks.clone(), |locks| async move { locks.check(READY_LOCK).await });
    start(&tasks, &app, Background { relay, bus: Arc::clone(&bus), worker, locks });
    let verifier = verifier(&config.auth, clock, &tasks)?;
    let secret = config.service.credential_file.expose();
    let options = graphql_options(&config.graphql).await.context("graphql.safelist")?;
    let push = Push::new(&tasks, &config.cors);
    let graphql = graphql::router(Arc::clone(&app), verifier.clone(), push.clone(), options);
    let http = http::router(app, verifier, push, secret).merge(graphql);
    let database = store.database;
    let admin = chassis::log_filter().merge(chassis::dead_rows(database.dead_rows(), database.revive()));
    Ok(chassis::App {
        name: NAME,
        version: VERSION,
        commit: COMMIT,
        admin: auth::for_operators(admin, secret),
        http,
        grpc: Routes::default(),
        descriptors: &[],
        health,
        tasks,
        on_drained: vec![Box::pin(async move {
            bus.close().await;
            database.close().await;
        })],
    })
}

/// Knows people by the tokens of the user service, and of another issuer where there is one.
fn verifier(config: &Auth, clock: SharedClock, tasks: &Tasks) -> Result<Verifier> {
    let keys = |url, name| Arc::new(JwksClient::new(url, client::Config::default(), name)) as Arc<dyn Keys>;
    let outside = config.outside.issuer().map_err(anyhow::Error::msg)?;
    let outside = outside.map(|issuer| (issuer, keys(&config.outside.jwks_url, "issuer")));
    let own = keys(&config.jwks_url, "user");
    Ok(Verifier::trusting(outside, own, clock, tasks.tracker(), tasks.token()))
}

async fn graphql_options(config: &Graphql) -> Result<graphql::Options> {
    let documents = if config.safelist.as_os_str().is_empty() {
        Documents::default()
    } else {
        Documents::safelist(&tokio::fs::read_to_string(&config.safelist).await?)?
    };
    Ok(graphql::Options { introspection: config.introspection, documents })
}

/// Brings the schema and the indexes up to date.
///
/// # Errors
/// The database cannot be used.
pub async fn migrate(config: &Config) -> Result<()> {
    store(config, &clock::system(), &Wake::default(), true).await?.database.close().await;
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
    let (app, _) = use_cases(config, clock, &store, follow_up::queue().0, &Tasks::new())?;
    let seeded = app.seed(products).await?;
    store.database.close().await;
    Ok(seeded)
}

/// Builds the indices of the search server anew; the service may run meanwhile. `report` is told how far it is, and of
/// how many there were at the start.
///
/// # Errors
/// There is no search server, it fails, or the database cannot be used. What was begun is carried on the next time.
pub async fn reindex(config: &Config, report: impl Fn(Progress, u64) + Send + Sync) -> Result<()> {
    anyhow::ensure!(!config.search.url.is_empty(), "search.url names no search server");
    let clock = clock::system();
    let store = store(config, &clock, &Wake::default(), config.database.migrate).await?;
    let (app, _) = use_cases(config, clock, &store, follow_up::queue().0, &Tasks::new())?;
    let totals = app.audit.totals().await?;
    for of in Indexed::ALL {
        let total = match of {
            Indexed::Products => totals.products,
            Indexed::Orders => totals.orders.iter().map(|(_, n)| n).sum(),
        };
        app.reindex(of, |progress| report(progress, total))
            .await
            .with_context(|| format!("cannot index the {}", of.name()))?;
    }
    store.database.close().await;
    Ok(())
}

/// The ports of one database.
struct Store {
    orders: Arc<dyn Orders>,
    products: Arc<dyn Products>,
    search: Arc<dyn SearchProducts>,
    accounts: Arc<dyn Accounts>,
    audit: Arc<dyn Audit>,
    database: Database,
}

async fn store(config: &Config, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    Box::pin(open_store(&config.database.url, clock, wake, migrate)).await.context("database.url")
}

async fn open_store(url: &str, clock: &SharedClock, wake: &Wake, migrate: bool) -> Result<Store> {
    match backends::scheme(url) {
        "sqlite" => {
            let database = sqlite::open(url).await?;
            let store = SqliteStore::new(database.clone(), wake.clone());
            Ok(Store::new(store, Database::sqlite(database, clock.clone()).await?))
        }
        "mongodb" | "mongodb+srv" => {
            let database = ::mongodb::connect(url, NAME).await?;
            // Connections are made when they are needed: a service that cannot reach its database should say so now.
            ::mongodb::ping(&database).await?;
            if migrate {
                mongodb::prepare(&database).await.context("cannot make the indexes")?;
            }
            let store = MongoStore::new(&database, wake.clone(), clock.clone());
            let outbox = mongodb::outbox(&database, clock.clone());
            Ok(Store::new(store, Database::mongodb(database, outbox)))
        }
        _ => Err(backends::Error::unknown_scheme(url, ["sqlite", "mongodb", "mongodb+srv"]).into()),
    }
}

impl Store {
    fn new<S>(store: S, database: Database) -> Self
    where
        S: Orders + Products + SearchProducts + Accounts + Audit + 'static,
    {
        let store = Arc::new(store);
        Self {
            orders: store.clone(),
            products: store.clone(),
            search: store.clone(),
            accounts: store.clone(),
            audit: store,
            database,
        }
    }
}

/// The search server, where there is one; connects with the first search.
fn search_client(config: &crate::config::Search) -> Result<Option<elasticsearch::Client>> {
    match backends::scheme(&config.url) {
        "" => Ok(None),
        "http" | "https" => Ok(Some(elasticsearch::Client::open(&config.url, config.client.clone())?)),
        _ => Err(backends::Error::unknown_scheme(&config.url, ["http", "https"]).into()),
    }
}

/// The use cases, and whether what they may do without is there.
fn use_cases(
    config: &Config,
    clock: SharedClock,
    store: &Store,
    follow_ups: FollowUps,
    tasks: &Tasks,
) -> Result<(App, Health)> {
    let credential = Credential::new(config.service.credential_file.expose(), NAME);
    let grpc = |callee: &Callee, name| Grpc::new(&callee.url, callee.client.clone(), Some(credential.clone()), name);
    let payment = grpc(&config.payment, "payment").context("payment.url")?;
    let user = grpc(&config.user, "user").context("user.url")?;
    let cache = backends::cache(&config.cache.url, &tasks.tracker(), &tasks.token()).context("cache.url")?;
    let search = search_client(&config.search).context("search.url")?;
    let health = may_be_away(&payment, &user, &cache, search.as_ref());
    let indices = search.map(|client| Indices::new(&client)).transpose()?;
    let limits = Limits { open: config.streams.max_open, per_account: config.streams.max_per_account };
    let spent = backends::limiter(&config.cache.url).context("cache.url")?;
    let app = App {
        orders: Arc::clone(&store.orders),
        products: Arc::clone(&store.products),
        accounts: Arc::clone(&store.accounts),
        audit: Arc::clone(&store.audit),
        search: Search::new(
            Arc::clone(&store.search),
            indices.map(|indices| Arc::new(indices) as Arc<dyn SearchServer>),
        ),
        set_aside: SetAside::default(),
        metrics: Metrics::default(),
        payments: Arc::new(PaymentClient::new(payment)),
        customers: Arc::new(UserClient::new(user)),
        token_cache: TokenCache::new(Cache::new("payment_token", Arc::clone(&cache), TokenCache::policy())),
        product_cache: ProductCache::new(cache),
        follow_ups,
        in_hand: InHand::default(),
        live: Live::new(limits, tasks.streams()),
        tickets: Tickets::new(config.service.credential_file.expose(), spent, clock.clone()),
        clock,
        timeouts: Timeouts { payment_wait: config.orders.payment_wait, pending: config.orders.pending },
    };
    Ok((app, health))
}

/// Those without which orders are taken all the same.
fn may_be_away(
    payment: &Grpc,
    user: &Grpc,
    cache: &Arc<dyn cache::Store>,
    search: Option<&elasticsearch::Client>,
) -> Health {
    let health = Health::new()
        .may_be_away("payment", payment.clone(), async |payment| payment.check())
        .may_be_away("user", user.clone(), async |user| user.check())
        .may_be_away("cache", Arc::clone(cache), |cache| async move { cache.check().await });
    match search.cloned() {
        Some(search) => health.may_be_away("search", search, async |search| search.check()),
        None => health,
    }
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
    let clock = Arc::clone(&app.clock);
    let feed = Feed::new(app.live.clone(), Arc::clone(&bus), live::KINDS, live::translate, clock);
    let token = tasks.token();
    tasks.spawn("live", async move {
        feed.run(token).await;
        Ok(())
    });
    if let Some(server) = app.search.server() {
        let events = Arc::new(IndexEvents::new(Arc::clone(app)));
        let indexer = Consumer::new(Arc::clone(&bus), INDEX_GROUP, INDEX_KINDS, events, Policy::default());
        let (token, tracker) = (tasks.token(), tasks.tracker());
        tasks.spawn("indexer", async move { Ok(indexer.run(token, tracker).await?) });
        let (token, built, locks) = (tasks.token(), Arc::clone(app), locks.clone());
        tasks.spawn("reindex", async move {
            reindex::run(built, server, locks, token).await;
            Ok(())
        });
    }
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
