//! A week of orders in the tables: what requests take with it, how fast what is old goes, and how large tables and files are.
//!
//! `make growth`, or with how many orders are planted for the week. They are written into the databases themselves, as copies
//! of what a real order left there, while the services run; nothing else is done to the services, which prune as they ship.

mod report;
mod requests;
mod store;
mod tables;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::Cluster;
use servers::Server;
use tokio::time::sleep;

use crate::{
    report::{Pruned, Report, Size},
    requests::Shop,
    store::Store,
    tables::{Stay, Table},
};

/// Of the 30 million that a week has at fifty a second.
const ORDERS: i64 = 1_000_000;
/// Of what is too old one for so many orders is planted: how fast it goes is seen by less.
const OLD: i64 = 10;
/// What is older than it may be has to be gone by then: the services look for it every five minutes.
const PATIENCE: Duration = Duration::from_mins(20);
const LOOK: Duration = Duration::from_secs(2);
/// After so many looks tokens are renewed, which live for ten minutes.
const RENEWED: u32 = 120;

/// Sizes of the tables and of what holds them.
async fn sizes(setting: &str, when: &str, tables: &[(Store, Table)], report: &mut Report) -> Result<()> {
    for (store, table) in tables {
        let (rows, bytes) = (store.count(table.name).await?, store.table_bytes(table.name).await?);
        let name = format!("{}.{}", store.name(), table.name);
        report.sizes.push(Size { setting: setting.to_owned(), when: when.to_owned(), name, rows, bytes });
    }
    let mut seen = Vec::new();
    for (store, _) in tables {
        if !seen.contains(&store.name()) {
            seen.push(store.name());
            let (name, bytes) = (format!("{} in all", store.name()), store.bytes().await?);
            report.sizes.push(Size { setting: setting.to_owned(), when: when.to_owned(), name, rows: 0, bytes });
        }
    }
    Ok(())
}

/// Writes as many rows as the orders leave, those that stay or those that are too old.
async fn plant(tables: &[(Store, Table)], stay: Stay, orders: i64) -> Result<()> {
    for (store, table) in tables.iter().filter(|(_, table)| table.stay == stay) {
        let began = Instant::now();
        store.plant(table, orders).await.with_context(|| format!("{}.{}", store.name(), table.name))?;
        eprintln!("  {}.{}: {:.0} s", store.name(), table.name, began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Waits until each table has lost what is too old, while an order is placed now and then.
async fn pruned(setting: &str, shop: &Shop, tables: &[(Store, Table)], report: &mut Report) -> Result<()> {
    let mut left = Vec::new();
    for (store, table) in tables.iter().filter(|(_, table)| table.stay == Stay::TooOld) {
        left.push((store, table, store.count(table.name).await?, Instant::now()));
    }
    let (began, mut shop) = (Instant::now(), shop.clone());
    for n in 0.. {
        sleep(LOOK).await;
        if n % RENEWED == 0 {
            shop = shop.logged_in_again().await?;
        }
        shop.place(&format!("meanwhile-{n}")).await?;
        let mut still = Vec::new();
        for (store, table, most, since) in left {
            let rows = store.count(table.name).await?;
            let name = format!("{}.{}", store.name(), table.name);
            if rows <= table.kept {
                eprintln!("  {name}: gone after {:.0} s", began.elapsed().as_secs_f64());
                let (setting, seconds) = (setting.to_owned(), since.elapsed().as_secs_f64());
                report.pruned.push(Pruned { setting, name, rows: most - rows, seconds, of_order: table.of_order });
            } else {
                // From when the first of them goes: before that it is not its turn.
                still.push(if rows >= most {
                    (store, table, rows, Instant::now())
                } else {
                    (store, table, most, since)
                });
            }
        }
        left = still;
        if left.is_empty() {
            return Ok(());
        }
        let names = || left.iter().map(|(store, table, ..)| format!("{}.{}", store.name(), table.name));
        ensure!(began.elapsed() < PATIENCE, "not pruned: {}", names().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

async fn show(setting: &str, cluster: &Cluster, orders: i64, report: &mut Report) -> Result<()> {
    let tables = tables::all(cluster).await?;
    let old = orders / OLD;
    for (store, table) in &tables {
        store.make_room(table, old).await?;
    }
    let shop = Shop::open(cluster).await?;
    shop.measure("before", setting, report).await?;
    sizes(setting, "before", &tables, report).await?;
    eprintln!("on {setting}: {orders} orders");
    plant(&tables, Stay::ForGood, orders).await?;
    shop.measure("after", setting, report).await?;
    plant(&tables, Stay::TooOld, old).await?;
    sizes(setting, "with the week", &tables, report).await?;
    pruned(setting, &shop, &tables, report).await?;
    sizes(setting, "pruned", &tables, report).await?;
    shop.measure("pruned", setting, report).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let orders = match std::env::args().nth(1) {
        Some(orders) => orders.parse().context("growth [ORDERS]: how many are planted")?,
        None => ORDERS,
    };
    let mut report = Report::new(orders);
    for setting in ["embedded defaults", "servers"] {
        eprintln!("on {setting}: starting the services");
        let on_servers = setting == "servers";
        let cluster = if on_servers { Cluster::start_on_servers(Server::Nats)? } else { Cluster::start()? };
        show(setting, &cluster, orders, &mut report).await?;
    }
    report.write()
}
