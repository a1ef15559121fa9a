//! The kill test: concurrent clients place, repeat, cancel and fulfil orders while processes die.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use e2e::{Account, Answer, Api, Cluster, SERVICES, Wrapped};
use futures::future::{join_all, try_join_all};
use http::StatusCode;
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use servers::Server;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{books::Books, dead_letters};

const CLIENTS: usize = 16;
const ORDERS_EACH: usize = 20;
const KILLS: usize = 24;
/// How far the services' clocks are ahead of those of the servers, in seconds, where each has its own.
const CLOCKS: [i64; 3] = [-120, 0, 120];
/// Each of the servers is killed as often as this.
const SERVER_KILLS: usize = 6;
/// A command is repeated this long before the test gives up on it: much longer than any restart takes.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Errors of each service that are shown when the test fails.
const ERRORS: usize = 10;
/// One stack of real servers at a time: servers that start again and again want their share of the machine.
pub(crate) static MACHINE: Mutex<()> = Mutex::const_new(());

/// The run's seed; `TEST_SEED` repeats another one.
fn seed() -> u64 {
    std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// One order as its client knows it.
#[derive(Debug)]
struct Placed {
    id: String,
    cancel_accepted: bool,
    fulfilled: bool,
}

/// What the clients share.
struct Shop {
    api: Api,
    operator: Account,
    products: Vec<String>,
    killing: AtomicBool,
}

/// Repeats a command until it gets an answer that is not a server's failure.
pub(crate) async fn insist<F, Fut>(mut command: F) -> Result<Answer>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Answer>>,
{
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let last = match command().await {
            Ok(answer) if !answer.status.is_server_error() => return Ok(answer),
            Ok(answer) => format!("{answer:?}"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(Instant::now() < deadline, "no answer within {TIMEOUT:?}: {last}");
        sleep(Duration::from_millis(50)).await; // pacing of retries, not waiting for a state
    }
}

impl Shop {
    /// Places one order, repeats it now and then, and perhaps fulfils or cancels it. `None`: out of stock.
    async fn order(&self, account: &Account, rng: &mut StdRng) -> Result<Option<Placed>> {
        let tokens =
            ["tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_insufficient_funds", "tok_unavailable", "tok_unknown"];
        let token = tokens[rng.random_range(0..tokens.len())];
        let first = rng.random_range(0..self.products.len());
        let mut items = vec![json!({"product_id": self.products[first], "quantity": rng.random_range(1..=3)})];
        if rng.random_bool(0.5) {
            let second = (first + 1) % self.products.len();
            items.push(json!({"product_id": self.products[second], "quantity": 1}));
        }
        let body = json!({"items": items, "payment_token": token});
        let key = Uuid::from_u128(rng.random()).to_string();
        let place = || self.api.post("order:/v1/orders", account, Some(&key), Some(&body));
        let answer = insist(place).await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(None);
        }
        ensure!(matches!(answer.status.as_u16(), 200..=202), "place: {answer:?}");
        let id = answer.text("id").to_owned();
        if rng.random_bool(0.3) {
            for again in try_join_all([insist(place), insist(place)]).await? {
                ensure!(again.status == StatusCode::OK && again.text("id") == id, "repeat: {again:?}");
                ensure!(again.headers.contains_key("idempotent-replayed"), "repeat: {again:?}");
            }
        }
        let mut placed = Placed { id, cancel_accepted: false, fulfilled: false };
        if rng.random_bool(0.3) {
            placed.fulfilled = self.command("fulfil", &placed.id, &self.operator).await?;
        }
        if rng.random_bool(0.3) {
            placed.cancel_accepted = self.command("cancel", &placed.id, account).await?;
        }
        Ok(Some(placed))
    }

    /// Fulfils or cancels; `false` where the order's state refuses.
    async fn command(&self, verb: &str, id: &str, by: &Account) -> Result<bool> {
        let path = format!("order:/v1/orders/{id}/{verb}");
        let answer = insist(|| self.api.post(&path, by, None, None)).await?;
        ensure!(matches!(answer.status.as_u16(), 200 | 202 | 409), "{verb}: {answer:?}");
        Ok(answer.status != StatusCode::CONFLICT)
    }

    /// One client: its share of the orders, and on until the last kill is over.
    async fn client(&self, account: &Account, mut rng: StdRng) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        while placed.len() < ORDERS_EACH || self.killing.load(Ordering::Relaxed) && placed.len() < 20 * ORDERS_EACH {
            placed.extend(self.order(account, &mut rng).await?);
            sleep(Duration::from_millis(rng.random_range(0..100))).await; // a person's pace
        }
        Ok(placed)
    }
}

/// Kills processes, services and servers, at random moments; each killed one has to come back.
async fn killer(cluster: &Cluster, mut rng: StdRng) -> Result<BTreeMap<String, usize>> {
    // No order is placed by a search, and that server takes longest to come back: order's own tests kill it.
    let servers = cluster.servers()?.into_iter().map(|server| server.name);
    let servers: Vec<String> = servers.filter(|name| name != Server::OpenSearch.slug()).collect();
    let names: Vec<&str> = ["user", "order", "payment"].into_iter().chain(servers.iter().map(String::as_str)).collect();
    let mut kills: BTreeMap<String, usize> = names.iter().map(|name| ((*name).to_owned(), 0)).collect();
    let enough = |kills: &BTreeMap<String, usize>| {
        kills.values().sum::<usize>() >= KILLS && servers.iter().all(|server| kills[server] >= SERVER_KILLS)
    };
    let deadline = Instant::now() + 4 * TIMEOUT;
    while !enough(&kills) {
        ensure!(Instant::now() < deadline, "only {kills:?} kills: a process does not come back");
        sleep(Duration::from_millis(rng.random_range(100..900))).await; // a random moment
        let name = names[rng.random_range(0..names.len())];
        *kills.entry(name.to_owned()).or_default() += usize::from(cluster.signal(name, Signal::SIGKILL)?);
    }
    Ok(kills)
}

/// Reads an order as the operator.
async fn read(shop: &Shop, id: &str) -> Result<Value> {
    let path = format!("order:/v1/orders/{id}");
    let answer = insist(|| shop.api.get(&path, &shop.operator)).await?;
    ensure!(answer.status == StatusCode::OK, "order {id} was accepted and is lost: {answer:?}");
    Ok(answer.body)
}

/// Waits until an order rests, then checks its state against its payment and its client's commands.
async fn check(shop: &Shop, placed: &Placed) -> Result<Value> {
    let deadline = Instant::now() + TIMEOUT;
    let order = loop {
        let order = read(shop, &placed.id).await?;
        if !matches!(order["status"].as_str(), Some("pending" | "cancelling" | "refunding")) {
            break order;
        }
        ensure!(Instant::now() < deadline, "never settled: {order}");
        sleep(Duration::from_millis(100)).await;
    };
    let status = order["status"].as_str().unwrap_or_default();
    let payment = order["payment"]["status"].as_str();
    let agrees = match status {
        "confirmed" => payment == Some("authorized"),
        "fulfilled" => payment == Some("captured"),
        "refunded" => payment == Some("refunded"),
        "rejected" | "cancelled" => matches!(payment, None | Some("declined" | "voided")),
        _ => false,
    };
    ensure!(agrees, "order and payment disagree: {order}");
    let wanted: &[&str] = match (placed.fulfilled, placed.cancel_accepted) {
        (true, true) => &["refunded"],
        (true, false) => &["fulfilled"],
        (false, true) => &["cancelled"],
        (false, false) => &["confirmed", "rejected"],
    };
    ensure!(wanted.contains(&status), "{placed:?} ended as {order}");
    Ok(order)
}

/// Available pieces of each product.
async fn stock(api: &Api, products: &[String]) -> Result<Vec<i64>> {
    let read = async |id: &String| {
        let path = format!("order:/v1/products/{id}");
        let answer = insist(|| api.send(http::Method::GET, &path, &[], None)).await?;
        answer.body["available"].as_i64().context("available")
    };
    try_join_all(products.iter().map(read)).await
}

/// What all orders that hold stock have taken of one product.
fn held(orders: &[Value], product: &str) -> i64 {
    let holding = orders.iter().filter(|order| !matches!(order["status"].as_str(), Some("rejected" | "cancelled")));
    let lines = holding.flat_map(|order| order["items"].as_array().into_iter().flatten());
    lines.filter(|line| line["product_id"] == product).filter_map(|line| line["quantity"].as_i64()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_charged_twice_while_processes_are_killed() -> Result<()> {
    survives_kills(&Cluster::start()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_charged_twice_while_servers_are_killed() -> Result<()> {
    survives_kills_of_servers(Server::Nats).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_charged_twice_while_kafka_is_killed() -> Result<()> {
    survives_kills_of_servers(Server::Kafka).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_charged_twice_while_rabbitmq_is_killed() -> Result<()> {
    survives_kills_of_servers(Server::RabbitMq).await
}

/// Each service under a clock of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_charged_twice_while_clocks_differ() -> Result<()> {
    let bus = Server::Nats;
    let Some(library) = testkit::servers::faketime().filter(|_| testkit::servers::stack_is_installed(bus)) else {
        return Ok(());
    };
    let _alone = MACHINE.lock().await;
    let wrapped = Wrapped::new()?;
    for (service, seconds) in SERVICES.into_iter().zip(CLOCKS) {
        wrapped.shiftable(service, &library)?;
        wrapped.shift(service, seconds)?;
    }
    let arguments = ["up", "--detach", "--servers", "--bus", bus.slug()];
    let cluster = Cluster::up_wrapped(tempfile::tempdir()?, wrapped, &arguments)?;
    survives_kills(&cluster).await.with_context(|| last_errors(&cluster))
}

async fn survives_kills_of_servers(bus: Server) -> Result<()> {
    if !testkit::servers::stack_is_installed(bus) {
        return Ok(());
    }
    let _alone = MACHINE.lock().await;
    let cluster = Cluster::start_on_servers(bus)?;
    survives_kills(&cluster).await.with_context(|| last_errors(&cluster))
}

/// What the services have logged as errors, the latest last.
fn last_errors(cluster: &Cluster) -> String {
    let of = |service: &str| {
        let log = std::fs::read_to_string(cluster.data().join(format!("logs/{service}.log"))).unwrap_or_default();
        let errors = log.lines().filter(|line| line.contains("\"level\":\"ERROR\""));
        errors.rev().take(ERRORS).map(str::to_owned).collect::<Vec<_>>()
    };
    ["user", "order", "payment"]
        .into_iter()
        .flat_map(|service| of(service).into_iter().rev())
        .collect::<Vec<_>>()
        .join("\n")
}

async fn survives_kills(cluster: &Cluster) -> Result<()> {
    let seed = seed();
    println!("seed {seed}");
    let api = Api::new(cluster)?;
    let operator = api.operator(cluster).await?;
    let accounts = try_join_all((0..CLIENTS).map(|_| api.sign_up())).await?;
    let list = api.send(http::Method::GET, "order:/v1/products?limit=12", &[], None).await?;
    let products: Vec<String> = list.body["items"]
        .as_array()
        .context("items")?
        .iter()
        .filter_map(|p| p["id"].as_str().map(str::to_owned))
        .collect();
    let before = stock(&api, &products).await?;
    let shop = Arc::new(Shop { api: api.clone(), operator, products, killing: AtomicBool::new(true) });

    let clients = accounts
        .iter()
        .enumerate()
        .map(|(n, account)| shop.client(account, StdRng::seed_from_u64(seed + 1 + n as u64)));
    let killing = async {
        let kills = killer(cluster, StdRng::seed_from_u64(seed)).await;
        shop.killing.store(false, Ordering::Relaxed);
        kills
    };
    let (kills, placed) = tokio::join!(killing, join_all(clients));
    let kills = kills?;
    let mut orders = Vec::new();
    let mut each = Vec::new();
    for placed in placed {
        let placed = placed?;
        let checked = try_join_all(placed.iter().map(|order| check(&shop, order))).await?;
        each.push(checked.len());
        orders.extend(checked);
    }
    println!("{} orders, kills {kills:?}, orders per client {each:?}", orders.len());
    assert!(orders.len() >= 300 && kills.values().sum::<usize>() >= KILLS);

    adds_up(&shop, &before, &orders).await?;
    let books = Books::open(cluster).await?;
    settled(cluster, &books).await?;
    counted(&shop, &accounts, &books).await?;
    println!("{} events are delivered once more", books.redeliver().await?);
    settled(cluster, &books).await?;
    everything_published(&books.published().await?, &orders);
    counted(&shop, &accounts, &books).await?;
    assert_eq!(books.orders().await?, orders.len() as u64, "an order exists that no client was given");
    dead_letters::are_shown_and_given_back(cluster).await.map(drop)
}

/// Waits until each order that was confirmed is counted for its user, once: nothing is said to wait for a group that has
/// not come yet.
async fn counted(shop: &Shop, accounts: &[Account], books: &Books) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut confirmed = books.confirmed_by_user().await?;
    let expected: Vec<u64> = accounts.iter().map(|account| confirmed.remove(&account.id).unwrap_or_default()).collect();
    loop {
        let read = accounts.iter().map(|account| shop.api.get("user:/v1/users/me", account));
        let found: Vec<u64> =
            try_join_all(read).await?.iter().filter_map(|me| me.body["orders_placed"].as_u64()).collect();
        if found == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "orders of each user: {found:?} are counted, {expected:?} are confirmed");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until what was given back is back, which may take a sweep where somebody was killed in between.
async fn adds_up(shop: &Shop, before: &[i64], orders: &[Value]) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let expected: Vec<i64> =
        shop.products.iter().zip(before).map(|(product, before)| before - held(orders, product)).collect();
    loop {
        let found = stock(&shop.api, &shop.products).await?;
        if found == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "stock is {found:?}, should be {expected:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whatever an order and its payment have become was published.
fn everything_published(published: &BTreeMap<String, BTreeSet<String>>, orders: &[Value]) {
    for order in orders {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, status, payment) = (text(&order["id"]), text(&order["status"]), text(&order["payment"]["status"]));
        let mut expected = BTreeSet::from(["order.placed.v1".to_owned(), format!("order.{status}.v1")]);
        if matches!(&*status, "fulfilled" | "refunded") {
            expected.insert("order.confirmed.v1".to_owned());
        }
        if !payment.is_empty() {
            expected.insert(format!("payment.{payment}.v1"));
        }
        let published = published.get(&id).cloned().unwrap_or_default();
        assert!(published.is_superset(&expected), "{order} was published as {published:?}");
    }
}

/// Waits until every event is applied and the services prove their books.
pub(crate) async fn settled(cluster: &Cluster, books: &Books) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        // Whoever was killed last may not be back yet.
        let state = match books.waiting_and_dead().await {
            Ok((_, dead)) if dead > 0 => bail!("{dead} dead letters"),
            Ok((0, _)) => cluster.tool(&["verify"]),
            Ok((waiting, _)) => Err(anyhow!("{waiting} events are not applied")),
            Err(error) => Err(error),
        };
        match state {
            Ok(table) => {
                println!("{table}");
                return Ok(());
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
        sleep(Duration::from_millis(200)).await;
    }
}
