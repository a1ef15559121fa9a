//! What the system really tells of itself: one order's trace from the click to the last consumer, and every span and
//! metric compared with the registry.

mod comparison;
mod everything;
mod flood;
mod later;
pub(crate) mod payment;
pub(crate) mod tree;
mod ways;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Account, Api, Cluster};
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::{
    everything::everything,
    tree::{EDGES, PARTS, Trace},
};
use crate::export::collector::Collector;

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const DEADLINE: Duration = Duration::from_secs(40);

/// Starts the services with these arguments of `trireme up`, and what takes in their telemetry.
async fn start(arguments: &[&str]) -> Result<(Cluster, Collector)> {
    let (collector, address) = Collector::grpc(None).await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ];
    Ok((Cluster::up(&[&["up", "--detach"], arguments].concat(), &variables)?, collector))
}

/// Places an order with that token of a card, under that idempotency key.
pub(crate) async fn order(
    api: &Api,
    account: &Account,
    (token, key): (&str, &str),
    headers: &[(&str, &str)],
) -> Result<String> {
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let items = json!([{"product_id": products.body["items"][0]["id"], "quantity": 1}]);
    let bearer = format!("Bearer {}", account.token);
    let own = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let body = json!({"items": items, "payment_token": token});
    let placed = api.send(Method::POST, "order:/v1/orders", &[&own[..], headers].concat(), Some(&body)).await?;
    ensure!(placed.status.is_success(), "{placed:?}");
    Ok(placed.text("id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_orders_trace_is_whole() -> Result<()> {
    let (cluster, collector) = start(&[]).await?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    // The keys of user's tokens are asked for before.
    api.get("order:/v1/orders", &account).await?;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "shop=ada"), ("x-canary", "true")];
    order(&api, &account, ("tok_ok", "one"), &headers).await?;

    let give_up = Instant::now() + DEADLINE;
    let trace = loop {
        let seen = collector.seen();
        let trace = Trace::of(&seen, TRACE);
        let mut missing = trace.missing(&EDGES, &PARTS);
        // What the relays sent is a trace of its own, linked to the spans that recorded the events.
        let relays = ["order", "payment"].into_iter().filter(|service| !trace.is_linked_from(&seen, service, "send"));
        missing.extend(relays.map(|service| format!("{service}: a relay's span that is linked")));
        if missing.is_empty() {
            break trace;
        }
        ensure!(Instant::now() < give_up, "missing: {missing:#?}\nof\n{trace}");
        sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(trace.edges(), EDGES.into(), "{trace}");
    assert!(trace.is_marked(), "{trace}");
    assert!(trace.states().all(|state| state == "shop=ada"), "{trace}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_is_what_the_registry_says() -> Result<()> {
    let (cluster, collector) = start(&[]).await?;
    everything(&cluster).await?;
    later::leave(&cluster, &collector, [""; 3]).await?;
    compare(&cluster, &collector, false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_on_servers_is_what_the_registry_says() -> Result<()> {
    if !testkit::servers::stack_is_installed(servers::Server::Nats) {
        return Ok(());
    }
    let (cluster, collector) = start(&["--servers"]).await?;
    everything(&cluster).await?;
    everything::without_redis(&cluster).await?;
    compare(&cluster, &collector, true).await
}

/// Waits until everything is told, and looks for what should not be.
async fn compare(cluster: &Cluster, collector: &Collector, on_servers: bool) -> Result<()> {
    let give_up = Instant::now() + DEADLINE;
    loop {
        let missing = comparison::missing(&collector.seen(), on_servers);
        if missing.is_empty() {
            break;
        }
        ensure!(Instant::now() < give_up, "the registry has what nobody told: {missing:#?}");
        sleep(Duration::from_millis(500)).await;
    }
    let unknown = comparison::unknown(&collector.seen());
    assert!(unknown.is_empty(), "told, and not as the registry has it: {unknown:#?}");
    // The admin ports say it under Prometheus' names, and nothing else.
    let http = trireme::http::Http::new();
    for process in cluster.processes()? {
        let shown = http.text(&format!("{}/metrics", process.admin)).await?;
        assert_eq!(comparison::unknown_at_prometheus(&shown), Vec::<String>::new(), "{}", process.name);
    }
    Ok(())
}
