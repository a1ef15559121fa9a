//! A request with `x-canary: true`, and every event that follows from it, meets version 2 in every service on its way;
//! everything else meets version 1.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use e2e::binary;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nix::sys::signal::Signal;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use trireme::Service;

use crate::{
    collector::{Collector, Hop},
    fleet::Fleet,
    requests::{Ask, Asked, Customer},
};

/// Requests of each sort with the mark, and as many without it: 1,000 of both.
const SORTS: [(Ask, usize); 4] =
    [(Ask::Products, 350), (Ask::Account, 300), (Ask::AccountOverGrpc, 200), (Ask::Order, 150)];
/// What `trireme canary` ends with.
const NO_GO: i32 = 3;
const TOO_EARLY: i32 = 4;
/// At once.
const CLIENTS: usize = 8;
/// An order that was decided while its customer waited. Of another one, whoever decides it later has a trace of their own,
/// with a link: on a busy machine there are some.
const DECIDED: u16 = 201;
/// Whatever follows from a request has happened by then.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What an order's trace has to show, in order, payment and user: requests, and the events behind the broker.
const HOPS_OF_AN_ORDER: [(&str, &str); 4] = [
    ("order", "POST /v1/orders"),
    ("payment", "payment.v1.PaymentService/Authorize"),
    ("order", "process payment.authorized.v1"),
    ("user", "process order.confirmed.v1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marked_requests_and_their_events_meet_version_2_alone() -> Result<()> {
    let (collector, address) = Collector::start().await?;
    let Some(mut fleet) = Fleet::start(1, 1, Some(address)).await? else { return Ok(()) };
    let prometheus = Prometheus::start(&fleet)?;
    let (way_in, grpc) = (fleet.listeners.url(8080), fleet.listeners.url(9091));
    let customer = Customer::sign_up(&way_in, &grpc).await?;
    let product = customer.product().await?;
    warm_up(&customer, &collector, &product).await?;

    let requests = SORTS.into_iter().flat_map(|(ask, count)| std::iter::repeat_n(ask, count));
    let requests = requests.flat_map(|ask| [(ask, true), (ask, false)]);
    let asked: Vec<(bool, Asked)> = stream::iter(requests)
        .map(|(ask, canary)| {
            let (customer, product) = (&customer, &product);
            async move { anyhow::Ok((canary, customer.ask(ask, canary, product).await?)) }
        })
        .buffer_unordered(CLIENTS)
        .try_collect()
        .await?;
    let mut upstreams: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for (canary, asked) in &asked {
        ensure!(asked.status < 300, "{asked:?}");
        *upstreams.entry((*canary, &asked.upstream)).or_default() += 1;
    }
    println!("answers by mark and by who gave them, as Envoy says: {upstreams:?}");
    assert!(upstreams.keys().all(|(canary, upstream)| upstream.ends_with(version(*canary))), "{upstreams:?}");
    println!("hops by mark, version and service: {:?}", hops(&collector, &asked).await?);
    // Nobody else came later.
    assert_eq!(fleet.open_events().await?, 0);
    hops(&collector, &asked).await?;

    if let Some(prometheus) = &prometheus {
        judge(prometheus).await?;
        refuse(prometheus, &customer, &product).await?;
    }
    smoke(&way_in).await?;
    version_2_dies(&mut fleet, &customer, &product, &collector).await
}

fn version(canary: bool) -> &'static str {
    if canary { "v2" } else { "v1" }
}

/// Orders with the mark until one of them, with its events, has met version 2 alone: then everybody has joined.
async fn warm_up(customer: &Customer, collector: &Collector, product: &str) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut good = 0;
    // A broker hands over one partition at a time: eight in a row are of many.
    while good < 8 {
        let asked = customer.ask(Ask::Order, true, product).await?;
        let met = asked.status == DECIDED && settled(collector, &asked, true).await.is_ok();
        good = if met { good + 1 } else { 0 };
        ensure!(Instant::now() < deadline, "marked orders do not meet version 2: {:?}", collector.hops(&asked.trace));
    }
    Ok(())
}

/// The hops of a request, once those are there that have to be; fails where another version was met.
async fn settled(collector: &Collector, asked: &Asked, canary: bool) -> Result<BTreeSet<Hop>> {
    let expected: &[_] = if asked.ask == Ask::Order && asked.status == DECIDED { &HOPS_OF_AN_ORDER } else { &[] };
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let hops = collector.hops(&asked.trace);
        let is_there =
            |(service, what): &(&str, &str)| hops.iter().any(|hop| hop.service == *service && hop.what == *what);
        if !hops.is_empty() && expected.iter().all(is_there) {
            ensure!(hops.iter().all(|hop| hop.version == version(canary)), "{:?} met {hops:?}", asked.ask);
            return Ok(hops);
        }
        ensure!(Instant::now() < deadline, "the trace of {asked:?} has only {hops:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Checks each trace, and counts.
async fn hops(collector: &Collector, asked: &[(bool, Asked)]) -> Result<BTreeMap<(bool, String, String), usize>> {
    let mut counts = BTreeMap::new();
    for (canary, asked) in asked {
        for hop in settled(collector, asked, *canary).await? {
            *counts.entry((*canary, hop.version, hop.service)).or_default() += 1;
        }
    }
    Ok(counts)
}

/// A real Prometheus that reads the six admin ports, with the label that a pod's label becomes.
struct Prometheus {
    _child: Child,
    url: String,
}

impl Prometheus {
    fn start(fleet: &Fleet) -> Result<Option<Self>> {
        let Some(program) = testkit::servers::program("prometheus") else { return Ok(None) };
        let (folder, port) = (fleet.folder().join("prometheus"), testkit::free_port());
        std::fs::create_dir(&folder)?;
        let targets = fleet.admins().map(|(service, version, port)| {
            let target = serde_json::json!({"targets": [format!("127.0.0.1:{port}")], "labels": {"version": version}});
            serde_json::json!({"job_name": format!("{service}-{version}"), "static_configs": [target],
                "relabel_configs": [{"target_label": "job", "replacement": service.to_string()}]})
        });
        let targets: Vec<_> = targets.collect();
        let config = serde_json::json!({"global": {"scrape_interval": "1s"}, "scrape_configs": targets});
        std::fs::write(folder.join("prometheus.yml"), config.to_string())?;
        let log = std::fs::File::create(folder.join("log"))?;
        let child = Command::new(program)
            .current_dir(&folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Some(Self { _child: child, url: format!("http://127.0.0.1:{port}") }))
    }
}

async fn tool(arguments: &[&str]) -> Result<Output> {
    Command::new(binary("trireme")?).args(arguments).output().await.context("trireme")
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `trireme canary` on what has happened: nothing failed, so version 2 is good; with too few requests it says so. As many may
/// be slow or undecided as a busy machine makes of either version.
async fn judge(prometheus: &Prometheus) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    for service in ["user", "order", "payment"] {
        let busy = ["--more-slow", "50", "--more-errors", "10"];
        let ask = [&["canary", service, "--prometheus", &prometheus.url, "--window", "2m"][..], &busy].concat();
        loop {
            let output = tool(&[&ask[..], &["--min-requests", "50"]].concat()).await?;
            if output.status.success() {
                println!("trireme canary {service}\n{}", printed(&output));
                break;
            }
            // The last requests have not been read yet.
            ensure!(Instant::now() < deadline, "{}", printed(&output));
            sleep(Duration::from_millis(500)).await;
        }
        let output = tool(&[&ask[..], &["--min-requests", "1000000"]].concat()).await?;
        assert_eq!(output.status.code(), Some(TOO_EARLY), "{}", printed(&output));
    }
    Ok(())
}

/// Version 2 of order fails, as it does for who waits for nothing at all: that is a no-go. Never five times in a row,
/// for which it would be ejected.
async fn refuse(prometheus: &Prometheus, customer: &Customer, product: &str) -> Result<()> {
    for _ in 0..10 {
        for ask in [Ask::OrderAtOnce, Ask::OrderAtOnce, Ask::OrderAtOnce, Ask::Products] {
            let asked = customer.ask(ask, true, product).await?;
            ensure!((asked.status < 300) == (ask == Ask::Products) && asked.upstream == "order-v2", "{asked:?}");
        }
    }
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let ask = ["canary", "order", "--prometheus", &prometheus.url, "--window", "2m", "--more-slow", "50"];
        let output = tool(&ask).await?;
        if output.status.code() == Some(NO_GO) && printed(&output).contains("of its requests failed") {
            println!("trireme canary order\n{}", printed(&output));
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{}", printed(&output));
        sleep(Duration::from_millis(500)).await;
    }
}

/// `trireme smoke`, with the mark and without.
async fn smoke(url: &str) -> Result<()> {
    for arguments in [&["smoke", url][..], &["smoke", url, "--canary"]] {
        let output = tool(arguments).await?;
        ensure!(output.status.success(), "{arguments:?}: {}", printed(&output));
    }
    Ok(())
}

/// Version 2 of order is killed: its host is ejected after five failures, which Envoy repeats on version 1; marked
/// requests and events go to version 1, and back when it runs again.
async fn version_2_dies(fleet: &mut Fleet, customer: &Customer, product: &str, collector: &Collector) -> Result<()> {
    let killed = fleet.find(Service::Order, "v2")?;
    fleet.end(killed, Signal::SIGKILL).await?;
    let mut answers: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for _ in 0..100 {
        let asked = customer.ask(Ask::Products, true, product).await?;
        *answers.entry((asked.status, asked.upstream)).or_default() += 1;
    }
    let envoy = fleet.envoy.as_ref().context("envoy")?;
    let ejected = envoy.statistic("cluster.order-v2.outlier_detection.ejections_enforced_total").await?;
    let refused = envoy.statistic("cluster.order-v2.upstream_cx_connect_fail").await?;
    println!("version 2 of order killed: {answers:?}; {refused} connections refused, ejected {ejected} times");
    assert!(ejected >= 1 && refused < 100, "not every request has to find out for itself");
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&(200, "order-v1".to_owned())], "nothing fails");
    let deadline = Instant::now() + TIMEOUT;
    let mut order = customer.ask(Ask::Order, true, product).await?;
    while order.status != DECIDED {
        ensure!(order.status < 300 && Instant::now() < deadline, "{order:?}");
        order = customer.ask(Ask::Order, true, product).await?;
    }
    // The event is taken over by version 1 when the canary's lease has ended.
    let by_v1 =
        |hop: &Hop| (&*hop.service, &*hop.version, &*hop.what) == ("order", "v1", "process payment.authorized.v1");
    while !collector.hops(&order.trace).iter().any(by_v1) {
        ensure!(Instant::now() < deadline, "{:?}", collector.hops(&order.trace));
        sleep(Duration::from_millis(50)).await;
    }
    fleet.run(killed).await?;
    let back = Instant::now();
    while customer.ask(Ask::Products, true, product).await?.upstream != "order-v2" {
        ensure!(back.elapsed() < TIMEOUT, "version 2 is back and is not asked");
        sleep(Duration::from_millis(50)).await;
    }
    println!("version 2 of order is ready again and asked again after {:?}", back.elapsed());
    warm_up(customer, collector, product).await?;
    println!("it has the events of marked orders again after {:?}", back.elapsed());
    Ok(())
}
