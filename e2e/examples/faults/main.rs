//! The faults of what the services depend on: brings one after the other about under a bounded load, on the real servers,
//! puts it right, and says how requests ended, how soon all was good again, what readiness and the logs said, and whether
//! anything was lost or doubled.
//!
//! `make faults`, or with the names of some faults; each writes its part of docs/faults.md. A number is how many seconds a
//! fault stands: with it nothing is written.

mod books;
mod causes;
mod disk;
mod faults;
mod logs;
mod readiness;
mod report;
mod system;
mod tally;
mod watch;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use e2e::customers::{Customer, PACE, Told, products};
use futures::future::join_all;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use crate::{
    books::Books,
    faults::{ALL, Fault},
    report::Outcome,
    system::System,
    tally::Tally,
    watch::Watch,
};

/// As many as orders a second, as long as these are answered in time.
const CUSTOMERS: u32 = 8;
/// Lines of the largest order.
const LINES: u32 = 40;
/// How long a fault stands, but for those that stand longer by a factor.
const STANDS: Duration = Duration::from_mins(1);
/// How long all must have been well before.
const BEFORE: Duration = Duration::from_secs(5);
/// How long nothing may be good again before it is given up.
const GIVE_UP: Duration = Duration::from_mins(2);
/// How long customers go on after all is good again.
const AFTER: Duration = Duration::from_secs(5);
/// Everything is started, tried and ended long before that, beside what the fault takes.
const LIMIT: Duration = Duration::from_mins(12);

/// Everything of one fault.
async fn try_out(fault: &Fault, stands: Duration) -> Result<Outcome> {
    eprintln!("{}: starting the services and their servers", fault.title);
    let system = System::start(fault)?;
    let tally = Arc::new(Tally::default());
    let told: Told = {
        let tally = Arc::clone(&tally);
        Arc::new(move |asked, answer| tally.note(asked, answer))
    };
    let products = products(&system.api, &system.cluster, LINES).await?;
    let mut customers = Vec::new();
    for n in 0..CUSTOMERS + 2 {
        // The last one but two orders everything there is, the others one piece.
        let wanted = if n + 1 == CUSTOMERS { &products[..] } else { &products[..1] };
        customers.push(Customer::sign_up(&system.api, None, wanted, Arc::clone(&told)).await?);
    }
    let probes = customers.split_off(CUSTOMERS as usize);
    let watch = Watch::new(&system, &tally, stands * fault.times, probes)?;
    let load = customers.iter_mut().zip(0..).map(|(customer, n)| customer.shop(PACE * n / CUSTOMERS));
    let seen = tokio::select! {
        seen = watch.over(fault) => seen?,
        _ = join_all(load) => bail!("the customers went home"),
    };
    customers.extend(seen.probes);
    eprintln!("{}: adding up", fault.title);
    let books = Books::settled(&system, customers).await?;
    let requests = tally.requests();
    Ok(Outcome {
        good: seen.good,
        restarts: seen.restarts,
        readiness: seen.readiness,
        logs: seen.logs,
        requests,
        books,
    })
}

/// Tries a fault, and prints what was seen, or why it is not tried here.
async fn row(fault: &Fault, stands: Duration) -> Result<()> {
    let outcome = match fault.missing() {
        Some(missing) => Err(missing),
        None => Ok(timeout(LIMIT + stands * fault.times, try_out(fault, stands)).await??),
    };
    report::show(fault, outcome.as_ref());
    if stands == STANDS { report::write(fault, outcome.as_ref()) } else { Ok(()) }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (numbers, wanted): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.parse::<u32>().is_ok());
    let known = |name: &&String| ALL.iter().any(|fault| fault.name == **name);
    ensure!(wanted.iter().all(known), "known are {}", ALL.map(|fault| fault.name).join(", "));
    let stands = numbers.first().and_then(|word| word.parse().ok()).map_or(STANDS, Duration::from_secs);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut failed = Vec::new();
    for fault in ALL.iter().filter(|one| wanted.is_empty() || wanted.iter().any(|name| *name == one.name)) {
        // Whatever comes first: what was started is ended when it is dropped.
        tokio::select! {
            done = row(fault, stands) => if let Err(error) = done {
                eprintln!("{}: {error:#}", fault.title);
                failed.push(fault.name);
            },
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
        // The ports of those that have ended are free again.
        sleep(Duration::from_secs(1)).await;
    }
    ensure!(failed.is_empty(), "not tried to the end: {}", failed.join(", "));
    Ok(())
}
