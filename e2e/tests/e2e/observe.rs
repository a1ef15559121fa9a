//! `trireme up --observe` on what `make observe` has installed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::{Api, Cluster};
use http::Method;
use serde_json::{Value, json};
use trireme::http::Http;

/// Where something that watches listens, by what `trireme status` says.
fn url(cluster: &Cluster, name: &str) -> Result<String> {
    let status: Value = serde_json::from_str(&cluster.tool(&["status", "--json"])?)?;
    let observers = status["observers"].as_array().context("no observers")?;
    let found = observers.iter().find(|observer| observer["name"] == name).context("it is not there")?;
    Ok(format!("http://127.0.0.1:{}", found["port"]))
}

async fn place(cluster: &Cluster) -> Result<String> {
    let api = Api::new(cluster)?;
    let account = api.sign_up().await?;
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let items = json!([{"product_id": products.body["items"][0]["id"], "quantity": 1}]);
    let order = json!({"items": items, "payment_token": "tok_ok"});
    Ok(api.post("order:/v1/orders", &account, Some("one"), Some(&order)).await?.text("id").to_owned())
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
    let order = place(&cluster).await?;
    assert!(cluster.tool(&["trace", &order])?.contains("POST /v1/orders 201"), "before Jaeger has it");
    let traced = async || cluster.tool(&["trace", &order, "--jaeger", &jaeger]);
    let shown = until("in Jaeger", traced, |shown| shown.contains("spans of order, payment, user")).await?;
    println!("{shown}");
    let http = Http::new();
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
