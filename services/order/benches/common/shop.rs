//! What the benchmarks of one process have in common. Linux only: it reads `/proc`.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::{
    fmt::{self, Display, Formatter},
    fs,
    net::SocketAddr,
    time::Duration,
};

use auth::Role;
use client::Http;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use testkit::TempDir;
use uuid::Uuid;

use crate::process::{Issuer, Process};

/// One process with products and orders, and somebody who asks.
pub(crate) struct Shop {
    http: Http,
    process: Process,
    token: String,
}

impl Shop {
    /// Starts it with these variables.
    pub(crate) async fn start(folder: &TempDir, name: &str, issuer: &Issuer, variables: &[(&str, &str)]) -> Self {
        let process = Process::start_with(folder, name, issuer, 100, variables);
        let http = client(process.address);
        let shop = Self { http, process, token: issuer.token(Uuid::new_v4(), Role::Operator) };
        shop.fill().await;
        shop
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> client::Response {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        headers.insert("idempotency-key", Uuid::new_v4().to_string().parse().unwrap());
        self.http.send(method, path, headers, body, false).await.unwrap()
    }

    /// What the threads of the process have worked so far.
    pub(crate) fn worked(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        Duration::from_nanos(stats.map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
    }

    /// Requests per CPU-second.
    async fn rate(&self, request: &impl AsyncFn()) -> f64 {
        let begin = self.worked();
        stream::iter(0..REQUESTS).for_each_concurrent(CLIENTS, async |_| request().await).await;
        f64::from(REQUESTS) / self.worked().saturating_sub(begin).as_secs_f64()
    }

    /// A client of its admin port.
    pub(crate) fn admin(&self) -> Http {
        client(self.process.admin)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        self.process.resident()
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

fn client(address: SocketAddr) -> Http {
    Http::new(&format!("http://{address}"), client::Config::default(), None, "order")
}

/// Requests at a time: alone, each pays for waking up whoever sleeps, which costs more than many a request itself.
const CLIENTS: usize = 16;
/// Requests of a round, and rounds: the first warms up.
const REQUESTS: u32 = 2_000;
const ROUNDS: usize = 16;

/// Two kinds of requests beside each other. What else the machine does changes from second to second, and so each round of
/// one is compared with the round of the other that comes after it.
pub(crate) struct Ratios {
    /// Requests per CPU-second of the first, the median of its rounds.
    pub(crate) first: f64,
    /// Of the second.
    pub(crate) second: f64,
    /// The second by the first, round by round.
    sorted: Vec<f64>,
}

impl Ratios {
    pub(crate) async fn of(one: &Shop, first: impl AsyncFn(), other: &Shop, second: impl AsyncFn()) -> Self {
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            firsts.push(one.rate(&first).await);
            seconds.push(other.rate(&second).await);
        }
        let ratios = firsts.iter().zip(&seconds).skip(1).map(|(first, second)| second / first).collect();
        let median = |rates: Vec<f64>| sorted(rates)[ROUNDS / 2];
        Self { sorted: sorted(ratios), first: median(firsts), second: median(seconds) }
    }
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

impl Display for Ratios {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let (ratios, last) = (&self.sorted, self.sorted.len() - 1);
        write!(
            to,
            "{:.2} (median of {}, half of them {:.2} to {:.2})",
            ratios[last / 2],
            last + 1,
            ratios[last / 4],
            ratios[last * 3 / 4]
        )
    }
}
