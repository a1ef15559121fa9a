//! How many calls to other processes an order makes: no more than docs/round-trips.md says.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{Api, Cluster, Process, observe::fetch};
use http::Method;
use serde_json::json;
use servers::Server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

/// Orders that are counted, and those before, after which all connections are open and all statements prepared.
const ORDERS: u32 = 30;
const BEFORE: u32 = 10;
const TRIES: u32 = 3;
/// After this long nothing is under way any more.
const QUIET: Duration = Duration::from_secs(3);

/// Calls by service and by what is called.
type Calls = BTreeMap<(String, String), f64>;

/// The rows of the table: service, what is called, how often at most.
fn budget() -> Result<Calls> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/round-trips.md"))?;
    let (_, table) = page.split_once("\n## Budget\n").context("no budget")?;
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells);
    rows.map(|row| match &row[..] {
        [service, what, most] => Ok(((service.clone(), what.clone()), most.parse()?)),
        _ => anyhow::bail!("{row:?}"),
    })
    .collect()
}

/// The sum of the samples that begin so and have that label.
fn sum(exposition: &str, name: &str, label: &str) -> f64 {
    let lines = exposition.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// How many scripts the server has run, by its own count.
async fn scripts(address: &str) -> Result<f64> {
    let (password, address) = address.trim_start_matches("redis://:").rsplit_once('@').context("no password")?;
    let mut server = TcpStream::connect(address).await?;
    server.write_all(format!("AUTH {password}\r\nINFO commandstats\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    server.read_to_string(&mut answer).await?;
    let counted =
        answer.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).context(answer.clone())?;
    Ok(counted.split(',').next().unwrap_or_default().parse()?)
}

/// Whatever has been called until now.
async fn calls(cluster: &Cluster) -> Result<Calls> {
    let mut calls = Calls::new();
    for Process { name, admin, .. } in cluster.processes()? {
        let exposition = fetch(admin.trim_start_matches("http://"), "/metrics", "").await?;
        for system in ["postgresql", "mongodb", "sqlite"] {
            let label = format!("db_system_name=\"{system}\"");
            let n = sum(&exposition, "db_client_operation_duration_seconds_count{", &label);
            calls.insert((name.clone(), system.to_owned()), n);
        }
        let n = sum(&exposition, "messaging_client_operation_duration_seconds_count{", "");
        calls.insert((name, "messages".to_owned()), n);
    }
    let redis = cluster.server_url(Server::Redis)?.context("no Redis")?;
    calls.insert(("all".to_owned(), "redis".to_owned()), scripts(&redis).await?);
    Ok(calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_makes_no_more_calls_than_its_budget() -> Result<()> {
    if !testkit::servers::stack_is_installed(Server::Nats) {
        return Ok(());
    }
    let cluster = Cluster::start_on_servers(Server::Nats)?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    let products = api.send(Method::GET, "order:/v1/products?limit=2", &[], None).await?;
    let items: Vec<_> = (0..2).map(|n| json!({"product_id": products.body["items"][n]["id"], "quantity": 1})).collect();
    let place = async |n: u32| {
        let order = json!({"items": items, "payment_token": "tok_ok"});
        let answer = api.post("order:/v1/orders", &account, Some(&n.to_string()), Some(&order)).await?;
        ensure!(answer.status.is_success(), "{answer:?}");
        anyhow::Ok(())
    };
    for n in 0..BEFORE {
        place(n).await?;
    }
    // On a machine that is busy with other things some calls are made again: once without is enough.
    let mut exceeded = Vec::new();
    for n in 1..=TRIES {
        exceeded = exceeding(&calls_an_order(&cluster, async |i| place(n * ORDERS + i).await).await?)?;
        if exceeded.is_empty() {
            break;
        }
    }
    assert!(exceeded.is_empty(), "{exceeded:#?}");
    Ok(())
}

/// What an order calls, without what is called when there is none.
async fn calls_an_order(cluster: &Cluster, place: impl AsyncFn(u32) -> Result<()>) -> Result<Calls> {
    sleep(QUIET).await;
    let (before, begun) = (calls(cluster).await?, Instant::now());
    for n in 0..ORDERS {
        place(n).await?;
    }
    sleep(QUIET).await;
    let (after, took) = (calls(cluster).await?, begun.elapsed());
    sleep(QUIET).await;
    let idle = calls(cluster).await?;
    let share = took.as_secs_f64() / QUIET.as_secs_f64();
    let an_order = |key: &(String, String)| {
        let [before, after, idle] = [&before, &after, &idle].map(|calls| calls.get(key).copied().unwrap_or_default());
        ((after - before) - (idle - after) * share) / f64::from(ORDERS)
    };
    Ok(after.keys().map(|key| (key.clone(), an_order(key))).collect())
}

fn exceeding(calls: &Calls) -> Result<Vec<String>> {
    let mut exceeding = Vec::new();
    for ((service, what), most) in budget()? {
        let made = calls.get(&(service.clone(), what.clone())).copied().unwrap_or_default();
        eprintln!("{service:8} {what:11} {made:5.1} an order, {most} at most");
        // Not far below either: a budget that is too large, or nothing that counts, says nothing.
        if made > most || made < most / 2.0 {
            exceeding.push(format!("{service}, {what}: {made:.1}, and {most} at most"));
        }
    }
    Ok(exceeding)
}
