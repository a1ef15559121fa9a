//! Measures what telemetry costs: requests per CPU-second of two processes, one as it ships, which sends spans and log
//! records, writes lines and is asked for its metrics, and one that does nothing of it; and the durations of requests while
//! the collector is away.
//!
//! `make bench-telemetry`. Linux only: it reads `/proc`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../tests/api/stream/process.rs"]
mod process;
#[path = "common/shop.rs"]
mod shop;

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{net::TcpListener, time::interval};
use tokio_util::task::TaskTracker;

use process::Issuer;
use shop::{Ratios, Shop};

/// Requests whose durations are compared.
const REQUESTS: u32 = 8_000;

/// Takes whatever is sent by OTLP over gRPC, and its address.
async fn collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Router::new().fallback(async |body: Bytes| {
        drop(body);
        taken()
    });
    TaskTracker::new().spawn(async move { axum::serve(listener, taken).await });
    format!("http://{address}")
}

/// An empty message: nothing was refused.
fn taken() -> Response {
    let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(status)];
    let body = Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))));
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

/// What the chart sets (helm/trireme/values.yaml).
fn sent_to(address: &str) -> [(&str, &str); 2] {
    [("OTEL_EXPORTER_OTLP_ENDPOINT", address), ("OTEL_METRICS_EXPORTER", "none")]
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let (folder, issuer, collector) = (testkit::temp_dir(), Issuer::start().await, collector().await);
    let off = Shop::start(&folder, "off", &issuer, &[("TRIREME_TELEMETRY__LOG", "off,chassis::app=info")]).await;
    let on = Shop::start(&folder, "on", &issuer, &sent_to(&collector)).await;
    TaskTracker::new().spawn(scrape(on.admin()));
    for (what, path) in [("an order", first(&off).await), ("a page of 20 orders", "/v1/orders?limit=20".to_owned())] {
        let (path_off, path_on) = match what {
            "an order" => (path, first(&on).await),
            _ => (path.clone(), path),
        };
        let ratios =
            Ratios::of(&off, async || read(&off, &path_off).await, &on, async || read(&on, &path_on).await).await;
        println!("{what:<22} off {:.0} /CPU-s   on {:.0} /CPU-s   {ratios}", ratios.first, ratios.second);
    }
    drop(off);
    without_collector(&folder, &issuer, &on).await;
}

/// As Prometheus does, and more often.
async fn scrape(admin: client::Http) {
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        admin.get("/metrics").await.unwrap();
    }
}

async fn read(shop: &Shop, path: &str) {
    assert_eq!(shop.send(Method::GET, path, None).await.status, 200);
}

async fn first(shop: &Shop) -> String {
    let page = shop.send(Method::GET, "/v1/orders?limit=1", None).await.json().unwrap();
    format!("/v1/orders/{}", page["items"][0]["id"].as_str().unwrap())
}

/// Nobody listens there: what requests take beside one whose collector answers, and memory before and after.
async fn without_collector(folder: &testkit::TempDir, issuer: &Issuer, on: &Shop) {
    let nobody = format!("http://127.0.0.1:{}", testkit::free_port());
    let dead = Shop::start(folder, "dead", issuer, &sent_to(&nobody)).await;
    let (path_on, path_dead) = (first(on).await, first(&dead).await);
    let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
    let before = dead.resident();
    for _ in 0..REQUESTS {
        answered.push(timed(on, &path_on).await);
        unanswered.push(timed(&dead, &path_dead).await);
    }
    println!(
        "collector away         p99 {:.2?}, with one that answers {:.2?}; {} KiB before, {} KiB after {} requests",
        p99(unanswered),
        p99(answered),
        before,
        dead.resident(),
        REQUESTS
    );
}

async fn timed(shop: &Shop, path: &str) -> Duration {
    let begin = Instant::now();
    read(shop, path).await;
    begin.elapsed()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}
