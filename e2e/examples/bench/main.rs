//! What the release binaries cost: answers a second and per second of processor time, how long they take, memory, size and
//! start, on embedded defaults and on the real servers, each beside the least that such an answer costs.
//!
//! `make bench` writes docs/performance.md and a JSON file; `make bench-compare A=… B=…` sets two of these side by side;
//! `make bench-growth` has ten times as much stored; `make profile SCENARIO=…` says where the time goes. Linux only: it reads
//! `/proc`.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "what is counted here is far below what a number can hold"
)]

mod floor;
mod growth;
mod load;
mod memory;
mod profile;
mod report;
mod scenarios;
mod start;
mod telemetry;

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use e2e::{
    Cluster,
    machine::{commit, machine},
};
use http::Method;
use servers::Server;
use trireme::http::Http;

use crate::{
    floor::Floor,
    load::{Figures, Load},
    report::{Report, Row},
    scenarios::{Scenario, Shop, Stored},
};

/// How long each load lasts, and how long one before it that is not counted.
const TIME: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
const CLIENTS: [u64; 3] = [1, 16, 64];
/// The open load is this share of what sixteen clients have.
const SHARE: f64 = 0.5;
const STORED: Stored = Stored { users: 20, products: 50, orders: 200 };
/// How long after the last load memory is looked at again.
const REST: Duration = Duration::from_mins(1);

/// What the services run on.
const SETTINGS: [&str; 2] = ["embedded defaults", "servers"];

/// Starts them on one of [`SETTINGS`].
fn start(setting: &str) -> Result<Cluster> {
    if setting == SETTINGS[0] { Cluster::start() } else { Cluster::start_on_servers(Server::Nats) }
}

/// One load, after one that opens connections.
async fn measured(load: Load, cluster: &Cluster, shop: &Shop, scenario: Scenario) -> Result<Figures> {
    let (processes, ask) = (cluster.processes()?, async |n| shop.ask(scenario, n).await);
    load.put(WARM_UP, &processes, ask).await?;
    load.put(TIME, &processes, ask).await
}

/// The same load on the least that such an answer costs; nothing for a mix.
async fn least(load: Load, floor: &Floor, shop: &Shop, scenario: Scenario) -> Result<Option<Figures>> {
    let (method, path) = match scenario {
        Scenario::ReadUser | Scenario::ListProducts => (Method::GET, format!("bytes/{}", shop.bytes(scenario).await?)),
        Scenario::ReadOrder => (Method::GET, "row".to_owned()),
        Scenario::Place => (Method::POST, "order".to_owned()),
        Scenario::Mix => return Ok(None),
    };
    let (http, url) = (Http::new(), format!("{}/{path}", floor.url()));
    let ask = async |_| http.send(method.clone(), &url, &[], None).await?.expect(&[200, 201], "the floor").map(drop);
    let processes = [floor.process()?];
    load.put(WARM_UP, &processes, ask).await?;
    load.put(TIME, &processes, ask).await.map(Some)
}

/// All scenarios on one setting.
async fn scenarios(setting: &str, report: &mut Report) -> Result<()> {
    eprintln!("on {setting}: starting the services");
    let cluster = start(setting)?;
    let mut note = |when: &str| memory::note(&cluster, setting, when, &mut report.memory);
    note("at rest")?;
    let mut shop = Shop::open(&cluster, STORED).await?;
    let floor = Floor::start(&cluster)?;
    for scenario in Scenario::ALL {
        shop.log_in_again().await?;
        let mut rate = 0.0;
        for clients in CLIENTS {
            let load = Load::Closed(clients);
            let figures = measured(load, &cluster, &shop, scenario).await?;
            rate = if clients == 16 { figures.a_second } else { rate };
            let floor = least(load, &floor, &shop, scenario).await?;
            report.note(Row { setting: setting.to_owned(), scenario, load, figures, floor });
        }
        let load = Load::Open((rate * SHARE).round());
        let figures = measured(load, &cluster, &shop, scenario).await?;
        report.note(Row { setting: setting.to_owned(), scenario, load, figures, floor: None });
    }
    let mut note = |when: &str| memory::note(&cluster, setting, when, &mut report.memory);
    note("under load, the most")?;
    tokio::time::sleep(REST).await;
    note("a minute later")
}

async fn all() -> Result<()> {
    let compiler = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let mut report = Report {
        commit: commit(),
        machine: machine(),
        compiler: String::from_utf8_lossy(&compiler).trim().to_owned(),
        rows: Vec::new(),
        services: start::services().await?,
        memory: Vec::new(),
    };
    for setting in SETTINGS {
        scenarios(setting, &mut report).await?;
        let file = report.write()?;
        println!("\n{}\ndocs/performance.md, {}", report.tables()?, file.display());
    }
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => all().await,
        ["compare", before, after] => {
            print!("{}", Report::read(before)?.beside(&Report::read(after)?));
            Ok(())
        }
        ["growth"] => growth::show().await,
        ["telemetry"] => telemetry::show().await,
        ["profile", name] => {
            let known = Scenario::ALL.into_iter().find(|scenario| scenario.name() == name);
            profile::draw(known.with_context(|| format!("known are {}", Scenario::ALL.map(Scenario::name).join(", ")))?)
                .await
        }
        [floor::ARGUMENT, folder] => floor::serve(folder).await,
        _ => bail!("bench [compare BEFORE AFTER | growth | telemetry | profile SCENARIO]"),
    }
}
