//! One trace id and the canary mark, from the first request to the last consumer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Api, Cluster};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The JSON log lines of a service that carry the trace id.
fn lines(cluster: &Cluster, service: &str) -> Result<Vec<Value>> {
    let log = cluster.log(service)?;
    let parsed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(parsed.filter(|line| line["trace_id"] == TRACE).collect())
}

/// Whether some line of a service has the trace id, the mark and the text.
fn has_logged(cluster: &Cluster, service: &str, text: &str) -> Result<bool> {
    let marked = lines(cluster, service)?.into_iter().filter(|line| line["canary"] == true);
    Ok(marked.into_iter().any(|line| line.to_string().contains(text)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_and_canary_reach_every_service_and_consumer() -> Result<()> {
    let cluster = Cluster::start()?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let order = json!({
        "items": [{"product_id": products.body["items"][0]["id"], "quantity": 1}],
        "payment_token": "tok_ok",
    });
    let bearer = format!("Bearer {}", account.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "one"),
        ("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01")),
        ("x-canary", "true"),
    ];
    let placed = api.send(Method::POST, "order:/v1/orders", &headers, Some(&order)).await?;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");

    // The request in order and payment, then the consumers of its events: order ← payment, user ← order.
    let expected = [
        ("order", "POST"),
        ("payment", "Authorize"),
        ("order", "payment.authorized.v1"),
        ("user", "order.confirmed.v1"),
    ];
    let deadline = Instant::now() + Duration::from_secs(10);
    for (service, text) in expected {
        while !has_logged(&cluster, service, text)? {
            let seen = lines(&cluster, service)?;
            ensure!(Instant::now() < deadline, "{service} logged nothing of {text} in the trace, but {seen:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_exact_mark_makes_a_canary() -> Result<()> {
    let cluster = Cluster::start()?;
    let api = Api::new(&cluster)?;
    let headers = [("traceparent", &*format!("00-{TRACE}-00f067aa0ba902b7-01")), ("x-canary", "TRUE")];
    api.send(Method::GET, "order:/v1/products", &headers, None).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let seen = lines(&cluster, "order")?;
        if !seen.is_empty() {
            break seen;
        }
        ensure!(Instant::now() < deadline, "the request was not logged");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(seen.iter().all(|line| line["canary"] != true), "{seen:#?}");
    Ok(())
}
