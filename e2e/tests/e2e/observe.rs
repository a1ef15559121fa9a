//! `trireme up --observe` on what `make observe` has installed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::{Account, Api, Cluster};
use serde_json::Value;
use trireme::http::Http;

use crate::signals::{
    TRACE, order,
    tree::{EDGES, PARTS, Trace},
};

/// Where something that watches listens, by what `trireme status` says.
fn url(cluster: &Cluster, name: &str) -> Result<String> {
    let status: Value = serde_json::from_str(&cluster.tool(&["status", "--json"])?)?;
    let observers = status["observers"].as_array().context("no observers")?;
    let found = observers.iter().find(|observer| observer["name"] == name).context("it is not there")?;
    Ok(format!("http://127.0.0.1:{}", found["port"]))
}

/// Places an order in a trace that is known, with the keys of user's tokens at hand.
async fn place(api: &Api, account: &Account) -> Result<String> {
    api.get("order:/v1/orders", account).await?;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    order(api, account, ("tok_ok", "one"), &[("traceparent", &parent), ("x-canary", "true")]).await
}

/// How many calls of order a second Jaeger's view of services shows, by what Prometheus has of its spans.
async fn calls_a_second(http: &Http, jaeger: &str) -> Result<f64> {
    let query = "service=order&spanKind=server&lookback=60000&step=1000&ratePer=10000";
    let answer = http.get(&format!("{jaeger}/api/metrics/calls?{query}")).await?;
    ensure!(answer.status.is_success(), "{answer:?}");
    let of_service = |metric: &&Value| metric["labels"].to_string().contains("\"order\"");
    let metric = answer.body["metrics"].as_array().and_then(|all| all.iter().find(of_service));
    let points = metric.and_then(|metric| metric["metricPoints"].as_array()).context("no metric of order")?;
    let values = points.iter().filter_map(|point| point["gaugeValue"]["doubleValue"].as_f64());
    Ok(values.fold(0.0, f64::max))
}

/// Waits until a value is there and fits.
async fn until<T>(what: &str, read: impl AsyncFn() -> Result<T>, fits: impl Fn(&T) -> bool) -> Result<T>
where
    T: std::fmt::Debug,
{
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let value = read().await;
        if value.as_ref().is_ok_and(&fits) {
            return value;
        }
        ensure!(Instant::now() < give_up, "{what}: {value:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_watches_is_started_fed_and_ended() -> Result<()> {
    let programs = ["otelcol", "jaeger", "prometheus"];
    let missing: Vec<_> = programs.into_iter().filter(|name| servers::program(name).is_none()).collect();
    if !missing.is_empty() {
        eprintln!("not installed, so not tried: {missing:?} (make observe)");
        return Ok(());
    }
    let cluster = Cluster::up(&["up", "--detach", "--observe"], &[])?;
    let (jaeger, prometheus) = (url(&cluster, "jaeger")?, url(&cluster, "prometheus")?);
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    let order = place(&api, &account).await?;
    assert!(cluster.tool(&["trace", &order])?.contains("POST /v1/orders 201"), "before Jaeger has it");
    let traced = async || cluster.tool(&["trace", &order, "--jaeger", &jaeger]);
    let shown = until("in Jaeger", traced, |shown| shown.contains("spans of order, payment, user")).await?;
    println!("{shown}");
    let http = Http::new();
    // The same table as that of `one_orders_trace_is_whole`.
    let of_jaeger = async || Ok(Trace::of_json(&http.get(&format!("{jaeger}/api/v3/traces/{TRACE}")).await?.body));
    let trace = until("whole in Jaeger", of_jaeger, |trace| trace.missing(&EDGES, &PARTS).is_empty()).await?;
    assert_eq!(trace.edges(), EDGES.into(), "{trace}");
    assert!(trace.is_marked(), "{trace}");
    // A rate is of what rises.
    let calls = async || {
        api.get("order:/v1/orders", &account).await?;
        calls_a_second(&http, &jaeger).await
    };
    println!("{} calls of order a second", until("in Jaeger's view of services", calls, |calls| *calls > 0.0).await?);
    let targets = async || {
        let answer = http.get(&format!("{prometheus}/api/v1/query?query=sum(up)")).await?;
        Ok(answer.body["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned())
    };
    // Three services, the collector, and what it makes of spans.
    until("in Prometheus", targets, |up| up == "5").await?;
    cluster.tool(&["down"])?;
    for url in [jaeger, prometheus] {
        assert!(http.get(&url).await.is_err(), "{url} still answers");
    }
    Ok(())
}
