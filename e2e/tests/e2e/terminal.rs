//! What a person sees in a terminal of a system that runs: an order's trace, and how the services are.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{Api, Cluster};
use http::{Method, StatusCode};
use serde_json::json;

/// The trace of an order, once all its events are handled.
async fn trace(cluster: &Cluster, order: &str) -> Result<String> {
    let expected = ["POST /v1/orders 201", "⇢ send", "⇠ process payment.authorized.v1", "⇠ process order.confirmed.v1"];
    let give_up = Instant::now() + Duration::from_secs(10);
    loop {
        let shown = cluster.tool(&["trace", order])?;
        if expected.iter().all(|span| shown.contains(span)) {
            return Ok(shown);
        }
        ensure!(Instant::now() < give_up, "not all of {expected:?} in\n{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_be_traced_and_the_services_watched() -> Result<()> {
    let cluster = Cluster::start()?;
    let api = Api::new(&cluster)?;
    let account = api.sign_up().await?;
    let products = api.send(Method::GET, "order:/v1/products?limit=1", &[], None).await?;
    let items = json!([{"product_id": products.body["items"][0]["id"], "quantity": 1}]);
    let order = json!({"items": items, "payment_token": "tok_ok"});
    let placed = api.post("order:/v1/orders", &account, Some("one"), Some(&order)).await?;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    let looked = api.get(&format!("order:/v1/orders/{}", placed.text("id")), &account).await?;
    assert_eq!(looked.status, StatusCode::OK, "{looked:?}");

    let shown = trace(&cluster, placed.text("id")).await?;
    println!("{shown}");
    assert!(shown.contains("spans of order, payment, user"), "{shown}");
    assert!(!shown.contains("GET /v1/orders/{id}"), "who only looked is left out:\n{shown}");
    assert!(!shown.contains(&account.email) && !shown.contains("tok_ok"), "{shown}");

    let table = cluster.tool(&["top", "--once"])?;
    println!("{table}");
    for service in ["user", "order", "payment"] {
        let line = table.lines().find(|line| line.starts_with(service));
        assert!(line.is_some_and(|line| !line.contains("does not answer")), "{table}");
    }
    Ok(())
}
