//! Each service is restarted, one of two replicas after the other, under load: no client sees a failure, and no
//! event is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use nix::sys::signal::Signal;
use tokio_util::task::TaskTracker;
use trireme::verify;

use crate::{
    fleet::Fleet,
    requests::{Ask, Asked, Customer},
};

const CLIENTS: usize = 8;
/// Before the first restart, between two, and after the last: so that each meets a running load.
const STEADY: Duration = Duration::from_secs(1);
/// Everything under way is settled by then.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The answers that the clients got.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    fn record(&self, asked: Result<Asked>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match asked {
            Ok(asked) if asked.status < 300 => {}
            Ok(asked) => self.failures.lock().unwrap().push(format!("{asked:?}")),
            Err(error) => self.failures.lock().unwrap().push(format!("{error:#}")),
        }
    }
}

/// Sends one request after the other, each once: a client that repeats nothing. Returns how many orders it placed.
async fn load(
    customer: Customer,
    product: String,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
) -> Result<(Customer, u64)> {
    let mut orders = 0;
    while !stop.load(Ordering::Relaxed) {
        for ask in [Ask::Order, Ask::Products, Ask::Account, Ask::AccountOverGrpc] {
            let asked = customer.ask(ask, false, &product).await;
            orders += u64::from(ask == Ask::Order && asked.as_ref().is_ok_and(|asked| asked.status < 300));
            tally.record(asked);
        }
    }
    Ok((customer, orders))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_nobody_and_loses_nothing() -> Result<()> {
    let Some(mut fleet) = Fleet::start(2, 0, None).await? else { return Ok(()) };
    let (way_in, grpc) = (fleet.listeners.url(8080), fleet.listeners.url(9091));
    let customers = try_join_all((0..CLIENTS).map(|_| Customer::sign_up(&way_in, &grpc))).await?;
    let product = customers[0].product().await?;
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let clients = TaskTracker::new();
    let start = |customer| clients.spawn(load(customer, product.clone(), Arc::clone(&tally), Arc::clone(&stop)));
    let clients: Vec<_> = customers.into_iter().map(start).collect();
    let started = Instant::now();
    tokio::time::sleep(STEADY).await;
    for n in 0..fleet.replicas.len() {
        let code = fleet.end(n, Signal::SIGTERM).await?;
        ensure!(code == Some(0), "{} ended with {code:?}: {}", fleet.replicas[n].service, fleet.log(n)?);
        fleet.run(n).await?;
        tokio::time::sleep(STEADY).await;
    }
    stop.store(true, Ordering::Relaxed);
    let took = started.elapsed();
    let mut clients = try_join_all(clients).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let failures = tally.failures.lock().unwrap().clone();
    let requests = tally.requests.load(Ordering::Relaxed);
    let orders: u64 = clients.iter().map(|(_, orders)| orders).sum();
    println!(
        "{} processes restarted in {took:.1?} under {CLIENTS} clients: {requests} requests, {} failed; {orders} orders",
        fleet.replicas.len(),
        failures.len(),
    );
    let log = std::fs::read_to_string(fleet.folder().join("envoy.log"))?;
    ensure!(orders > 0, "no order was placed");
    ensure!(failures.is_empty(), "{} failed: {:#?}\n{log}", failures.len(), &failures[..failures.len().min(5)]);
    nothing_is_lost(&fleet, &mut clients).await
}

/// Every order was confirmed and counted by an event, and the books of all three agree.
async fn nothing_is_lost(fleet: &Fleet, clients: &mut [(Customer, u64)]) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    for (customer, orders) in clients {
        while customer.orders_placed().await? != *orders {
            let counted = customer.orders_placed().await?;
            ensure!(Instant::now() < deadline, "{} placed {orders} orders, {counted} are counted", customer.id);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let report = verify(&fleet.state(), &fleet.credential()?, TIMEOUT).await?;
    println!("{}", report.lines().join("\n"));
    ensure!(report.holds(), "the books do not agree");
    Ok(())
}
