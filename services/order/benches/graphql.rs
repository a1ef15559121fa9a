//! Measures GraphQL on one process: requests per CPU-second of the same read over REST and GraphQL, and what it costs to
//! refuse hostile documents.
//!
//! `make bench-graphql`. Linux only: it reads `/proc`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../tests/api/graphql/hostile.rs"]
mod hostile;
#[path = "../tests/api/stream/process.rs"]
mod process;
#[path = "common/shop.rs"]
mod shop;

use http::Method;
use serde_json::{Value, json};

use process::Issuer;
use shop::{Ratios, Shop};

/// How often each hostile document is sent.
const TIMES: u32 = 20;

/// Everything that REST says of an order.
const FIELDS: &str = "id userId status reason items { productId name quantity unitPrice { amount currency } } \
    total { amount currency } payment { id status } version createdAt updatedAt";

#[tokio::main(worker_threads = 2)]
async fn main() {
    let (folder, issuer) = (testkit::temp_dir(), Issuer::start().await);
    let shop = Shop::start(&folder, "order", &issuer, &[]).await;
    reads(&shop).await;
    refusals(&shop).await;
}

async fn ask(shop: &Shop, body: &Value) -> client::Response {
    shop.send(Method::POST, "/graphql", Some(body)).await
}

async fn reads(shop: &Shop) {
    let query = format!("{{ orders(first: 20) {{ edges {{ node {{ {FIELDS} }} }} pageInfo {{ endCursor }} }} }}");
    let query = json!({ "query": query });
    let first = ask(shop, &query).await.json().unwrap();
    assert_eq!(first["data"]["orders"]["edges"].as_array().unwrap().len(), 20, "{first}");
    let rest = async || assert_eq!(shop.send(Method::GET, "/v1/orders?limit=20", None).await.status, 200);
    let graphql = async || assert_eq!(ask(shop, &query).await.status, 200);
    let ratios = Ratios::of(shop, rest, shop, graphql).await;
    println!("a page of 20 orders    REST {:.0} /CPU-s   GraphQL {:.0} /CPU-s   {ratios}", ratios.first, ratios.second);
}

async fn refusals(shop: &Shop) {
    let mut costs = Vec::new();
    let requests = hostile::requests();
    for (what, body) in &requests {
        let begin = shop.worked();
        for _ in 0..TIMES {
            assert!(ask(shop, body).await.status.as_u16() < 500, "{what}");
        }
        costs.push((shop.worked().saturating_sub(begin) / TIMES, what));
    }
    costs.sort();
    println!("hostile documents      {}, median {:.2?}", costs.len(), costs[costs.len() / 2].0);
    for (cost, what) in costs.iter().rev().take(5) {
        println!("                       {cost:.2?}  {what}");
    }
}
