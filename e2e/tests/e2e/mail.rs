//! Mail while the process that sends it is killed: each order has one, and what is sent twice is what a crash explains.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster};
use futures::future::{join_all, try_join_all};
use http::StatusCode;
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use servers::Server;
use testkit::{Received, SmtpServer};
use tokio::time::sleep;

use crate::books::Books;

const CLIENTS: u64 = 4;
const ORDERS_EACH: usize = 20;
const KILLS: usize = 10;
const TIMEOUT: Duration = Duration::from_mins(1);

/// From before a kill until after it.
type Kill = (Instant, Instant);

/// Places orders until there are enough and nobody is killed any more; returns their ids.
async fn shop(api: &Api, account: &Account, product: &str, killing: &AtomicBool) -> Result<Vec<String>> {
    let mut orders = Vec::new();
    while orders.len() < ORDERS_EACH || killing.load(Ordering::Relaxed) {
        let body = json!({"items": [{"product_id": product, "quantity": 1}], "payment_token": "tok_ok"});
        let key = orders.len().to_string();
        let placed = api.post("order:/v1/orders", account, Some(&key), Some(&body)).await?;
        ensure!(matches!(placed.status, StatusCode::CREATED | StatusCode::ACCEPTED), "{placed:?}");
        orders.push(placed.text("id").to_owned());
        sleep(Duration::from_millis(100)).await; // a person's pace
    }
    Ok(orders)
}

/// Adds a product that does not sell out; returns its id.
async fn product(api: &Api, cluster: &Cluster) -> Result<String> {
    let operator = api.operator(cluster).await?;
    let product = json!({
        "sku": "MAIL-1", "name": "Stamp", "description": "", "price": {"amount": 100, "currency": "EUR"}, "stock": 1_000_000,
    });
    let added = api.post("order:/v1/products", &operator, Some("stamp"), Some(&product)).await?;
    ensure!(added.status == StatusCode::CREATED, "{added:?}");
    Ok(added.text("id").to_owned())
}

/// Kills user at random moments.
async fn kill(cluster: &Cluster) -> Result<Vec<Kill>> {
    let (mut rng, mut kills) = (StdRng::seed_from_u64(20), Vec::new());
    let deadline = Instant::now() + 2 * TIMEOUT;
    while kills.len() < KILLS {
        ensure!(Instant::now() < deadline, "only {} kills: user does not come back", kills.len());
        sleep(Duration::from_millis(rng.random_range(100..900))).await; // a random moment
        let before = Instant::now();
        if cluster.signal("user", Signal::SIGKILL)? {
            kills.push((before, Instant::now()));
        }
    }
    Ok(kills)
}

fn confirmations(server: &SmtpServer) -> Vec<Received> {
    server.mails().into_iter().filter(|mail| mail.content.contains("Subject: Your order is confirmed")).collect()
}

/// The order that a mail is about.
fn order(mail: &Received) -> Result<String> {
    let line = mail.content.lines().find_map(|line| line.strip_prefix("Order "));
    Ok(line.context("a mail about no order")?.to_owned())
}

/// Waits until nothing is under way on the bus and nothing was given up.
async fn settled(books: &Books) -> Result<()> {
    let waiting = testkit::eventually!(within TIMEOUT, match books.waiting_and_dead().await {
        Ok((0, dead)) => Some(dead),
        _ => None,
    });
    ensure!(waiting == 0, "{waiting} dead letters");
    Ok(())
}

/// By their ids. Of one that came more than once, each came after a kill that the one before it may have died of.
fn by_id(mails: &[Received], kills: &[Kill]) -> Result<BTreeMap<String, usize>> {
    let mut seen: BTreeMap<String, Vec<&Received>> = BTreeMap::new();
    for mail in mails {
        seen.entry(mail.message_id().to_owned()).or_default().push(mail);
    }
    for (id, mails) in &seen {
        for pair in mails.windows(2) {
            ensure!(order(pair[0])? == order(pair[1])?, "{id} is about two orders");
            let explains = |(before, after): &Kill| pair[0].asked <= *after && *before <= pair[1].taken;
            ensure!(kills.iter().any(explains), "{id} was sent twice and nobody was killed: {pair:?}, {kills:?}");
        }
    }
    Ok(seen.into_iter().map(|(id, mails)| (id, mails.len())).collect())
}

async fn each_order_has_one_mail(arguments: &[&str]) -> Result<()> {
    let (server, url) = SmtpServer::start().await;
    let cluster = Cluster::up(&[&["up", "--detach"], arguments].concat(), &[("TRIREME_MAIL__URL", &url)])?;
    let api = Api::new(&cluster)?;
    let accounts = try_join_all((0..CLIENTS).map(|_| api.sign_up())).await?;
    let product = product(&api, &cluster).await?;

    let killing = AtomicBool::new(true);
    let clients = accounts.iter().map(|account| shop(&api, account, &product, &killing));
    let killer = async {
        let kills = kill(&cluster).await;
        killing.store(false, Ordering::Relaxed);
        kills
    };
    let (kills, orders) = tokio::join!(killer, join_all(clients));
    let (kills, orders) = (kills?, orders.into_iter().collect::<Result<Vec<_>>>()?.concat());

    let books = Books::open(&cluster).await?;
    let told = || confirmations(&server).iter().map(order).collect::<Result<BTreeSet<_>>>();
    let expected: BTreeSet<String> = orders.iter().cloned().collect();
    testkit::eventually!(within TIMEOUT, {
        let told = told()?;
        let untold: Vec<_> = expected.symmetric_difference(&told).cloned().collect();
        if untold.is_empty() { Ok(()) } else { Err(untold) }
    });
    settled(&books).await?;
    let mails = by_id(&confirmations(&server), &kills)?;
    assert_eq!(mails.len(), expected.len(), "an order has one id of a mail");
    let sent: usize = mails.values().sum();
    println!("{} orders, {} kills, {} mails sent once more", orders.len(), kills.len(), sent - mails.len());

    println!("{} events are delivered once more", books.redeliver().await?);
    settled(&books).await?;
    assert_eq!(confirmations(&server).len(), sent, "what is delivered again is not sent again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_has_one_mail_while_user_is_killed() -> Result<()> {
    each_order_has_one_mail(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_has_one_mail_while_user_is_killed_on_rabbitmq() -> Result<()> {
    if !testkit::servers::stack_is_installed(Server::RabbitMq) {
        return Ok(());
    }
    each_order_has_one_mail(&["--servers", "--bus", "rabbitmq"]).await
}
