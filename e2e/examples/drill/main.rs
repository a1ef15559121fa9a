//! The incident drill: breaks one thing after the other under load, on the real servers, and says which alerts fired
//! after how long, which were over how long after the end, and what a trace of that time shows.
//!
//! `make drill`, or with the name of one incident; each writes its part of docs/runbook.md.

mod explain;
mod faults;
mod incidents;
mod report;
mod watch;
mod way;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::{
    Api,
    customers::{Customer, PACE, Told, products},
    observe::Stack,
};
use futures::future::join_all;
use monitoring::Sources;
use tokio::{
    signal::ctrl_c,
    time::{sleep, timeout},
};

use crate::{
    incidents::{ALL, Incident},
    report::Report,
    watch::Watch,
    way::Canary,
};

/// As many as orders a second, as long as these are answered in time; two processors do no more in debug builds.
const CUSTOMERS: u32 = if cfg!(debug_assertions) { 4 } else { 24 };
/// How long all is well before, so that rates have something to be compared with.
const BEFORE: Duration = Duration::from_secs(45);
/// How long a fault lasts: longer than any alert waits (`for`) that it can concern.
const FAULT: Duration = Duration::from_secs(150);
/// How long it is waited afterwards for alerts to end: longer than the short window of the fastest budget alert.
const AFTER: Duration = Duration::from_secs(315);
/// Everything is started, asked and ended long before that.
const LIMIT: Duration = Duration::from_mins(18);

/// Everything together, in turns.
async fn drill(incident: &Incident, sources: &Sources) -> Result<()> {
    eprintln!("{}: starting the services, their servers, the collector and Prometheus", incident.title);
    let stack = Stack::start(&["--servers"]).await?;
    let canary = if incident.needs_canary() { Some(Canary::start(&stack).await?) } else { None };
    let api = Api::new(&stack.cluster)?;
    let product = products(&api, &stack.cluster, 1).await?;
    let told: Told = Arc::new(|_, _| ());
    let mut customers = Vec::new();
    for n in 0..CUSTOMERS {
        let shop = canary.as_ref().filter(|_| n % 2 == 0).map(|canary| canary.http.clone());
        customers.push(Customer::sign_up(&api, shop, &product, Arc::clone(&told)).await?);
    }
    let load = customers.iter_mut().zip(0..).map(|(customer, n)| customer.shop(PACE * n / CUSTOMERS));
    let report = tokio::select! {
        report = watched(incident, &stack, canary.as_ref(), sources) => report?,
        _ = join_all(load) => bail!("the customers went home"),
    };
    report.write()
}

/// What is seen before, during and after the fault.
async fn watched<'a>(
    incident: &'a Incident,
    stack: &Stack,
    canary: Option<&Canary>,
    sources: &'a Sources,
) -> Result<Report<'a>> {
    let mut watch = Watch::new(&stack.prometheus, incident.title);
    watch.during(BEFORE).await?;
    watch.until_silent(AFTER).await?;
    let orders = watch.orders(BEFORE).await?;
    watch.begins();
    tokio::select! {
        broken = faults::break_it(incident.fault, stack, canary) => broken?,
        watched = watch.during(FAULT) => watched?,
    }
    watch.ends();
    let bad = watch.bad(&sources.slos, FAULT).await?;
    watch.until_silent(AFTER).await?;
    eprintln!("{}: asking for what was measured", incident.title);
    let most = watch.most(&sources.bounds()).await?;
    let trace = explain::trace(&stack.collector, incident, watch.times_of_fault())?;
    Ok(Report { incident, sources, orders, alerts: watch.seen(), bad, most, trace })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| ALL.iter().any(|incident| incident.name == name);
    ensure!(wanted.iter().all(known), "known are {}", ALL.map(|incident| incident.name).join(", "));
    let sources = Sources::read(&e2e::observe::deploy())?;
    for incident in ALL.iter().filter(|one| wanted.is_empty() || wanted.iter().any(|name| name == one.name)) {
        // Whatever comes first: what was started is ended when it is dropped.
        tokio::select! {
            done = timeout(LIMIT, drill(incident, &sources)) => done.context(incident.title)??,
            _ = ctrl_c() => bail!("interrupted"),
        }
        // The ports of those that have ended are free again.
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
