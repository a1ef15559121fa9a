//! Measures GraphQL on one process: requests per CPU-second of the same read over REST and GraphQL, and what it costs to
//! refuse hostile documents.
//!
//! `make bench-graphql`. Linux only: it reads `/proc`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../tests/api/graphql/hostile.rs"]
mod hostile;
#[path = "../tests/api/stream/process.rs"]
mod process;

use std::{fs, time::Duration};

use auth::Role;
use client::Http;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use process::{Issuer, Process};

/// Requests of a round, and rounds: the first warms up.
const REQUESTS: u32 = 2_000;
const ROUNDS: usize = 4;
/// How often each hostile document is sent.
const TIMES: u32 = 20;

/// Everything that REST says of an order.
const FIELDS: &str = "id userId status reason items { productId name quantity unitPrice { amount currency } } \
    total { amount currency } payment { id status } version createdAt updatedAt";

struct Shop {
    http: Http,
    pid: u32,
    token: String,
}

impl Shop {
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> client::Response {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        headers.insert("idempotency-key", Uuid::new_v4().to_string().parse().unwrap());
        self.http.send(method, path, headers, body, false).await.unwrap()
    }

    async fn graphql(&self, body: &Value) -> client::Response {
        self.send(Method::POST, "/graphql", Some(body)).await
    }

    /// What the threads of the process have worked so far.
    fn worked(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        Duration::from_nanos(stats.map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
    }

    /// Requests per CPU-second.
    async fn rate(&self, request: impl AsyncFn()) -> f64 {
        let begin = self.worked();
        for _ in 0..REQUESTS {
            request().await;
        }
        f64::from(REQUESTS) / self.worked().saturating_sub(begin).as_secs_f64()
    }

    /// Twenty orders of the caller's. Payment is not there: they are pending.
    async fn fill(&self) {
        let product = json!({ "sku": "tea", "name": "Tea", "description": "", "price": { "amount": 500, "currency": "EUR" }, "stock": 999 });
        let product = self.send(Method::POST, "/v1/products", Some(&product)).await.json().unwrap();
        let order = json!({ "items": [{ "product_id": product["id"], "quantity": 1 }], "payment_token": "tok_ok" });
        for _ in 0..20 {
            assert_eq!(self.send(Method::POST, "/v1/orders", Some(&order)).await.status, 202);
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let (folder, issuer) = (testkit::temp_dir(), Issuer::start().await);
    let process = Process::start(&folder, "order", &issuer, 100);
    let http = Http::new(&format!("http://{}", process.address), client::Config::default(), None, "order");
    let shop = Shop { http, pid: process.id(), token: issuer.token(Uuid::new_v4(), Role::Operator) };
    shop.fill().await;
    reads(&shop).await;
    refusals(&shop).await;
}

async fn reads(shop: &Shop) {
    let query = format!("{{ orders(first: 20) {{ edges {{ node {{ {FIELDS} }} }} pageInfo {{ endCursor }} }} }}");
    let query = json!({ "query": query });
    let first = shop.graphql(&query).await.json().unwrap();
    assert_eq!(first["data"]["orders"]["edges"].as_array().unwrap().len(), 20, "{first}");
    let rest = async || assert_eq!(shop.send(Method::GET, "/v1/orders?limit=20", None).await.status, 200);
    let graphql = async || assert_eq!(shop.graphql(&query).await.status, 200);
    let (mut over_rest, mut over_graphql) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        over_rest.push(shop.rate(rest).await);
        over_graphql.push(shop.rate(graphql).await);
    }
    let best = |rates: &[f64]| rates[1..].iter().copied().fold(0.0, f64::max);
    let (rest, graphql) = (best(&over_rest), best(&over_graphql));
    println!("a page of 20 orders    REST {rest:.0} /CPU-s   GraphQL {graphql:.0} /CPU-s   {:.2}", graphql / rest);
}

async fn refusals(shop: &Shop) {
    let mut costs = Vec::new();
    let requests = hostile::requests();
    for (what, body) in &requests {
        let begin = shop.worked();
        for _ in 0..TIMES {
            assert!(shop.graphql(body).await.status.as_u16() < 500, "{what}");
        }
        costs.push((shop.worked().saturating_sub(begin) / TIMES, what));
    }
    costs.sort();
    println!("hostile documents      {}, median {:.2?}", costs.len(), costs[costs.len() / 2].0);
    for (cost, what) in costs.iter().rev().take(5) {
        println!("                       {cost:.2?}  {what}");
    }
}
