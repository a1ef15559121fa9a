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
    let (no_logs, no_traces) = (("OTEL_LOGS_EXPORTER", "none"), ("OTEL_TRACES_EXPORTER", "none"));
    for (what, without) in [
        ("as it ships", &[][..]),
        ("without log records", &[no_logs]),
        ("without spans", &[no_traces]),
        ("lines and metrics", &[no_logs, no_traces]),
    ] {
        let on =
            Shop::start(&folder, &what.replace(' ', "-"), &issuer, &[&sent_to(&collector)[..], without].concat()).await;
        let scraping = TaskTracker::new().spawn(scrape(on.admin()));
        compare(&format!("an order, {what}"), &off, &first(&off).await, &on, &first(&on).await).await;
        if without.is_empty() {
            let page = "/v1/orders?limit=20";
            compare("a page of 20 orders", &off, page, &on, page).await;
            assert_eq!(exported(&on).await, [true, true], "the collector does not take what is sent");
            without_collector(&folder, &issuer, &on).await;
        }
        assert!(!scraping.is_finished(), "the metrics cannot be read");
        scraping.abort();
    }
}

async fn compare(what: &str, off: &Shop, path_off: &str, on: &Shop, path_on: &str) {
    let ratios = Ratios::of(off, async || read(off, path_off).await, on, async || read(on, path_on).await).await;
    println!("{what:<30} off {:.0} /CPU-s   on {:.0} /CPU-s   {ratios}", ratios.first, ratios.second);
}

/// As Prometheus does, and more often.
async fn scrape(admin: client::Http) {
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        assert_eq!(admin.get("/metrics").await.unwrap().status, 200);
    }
}

/// Whether somebody took spans, and log records.
async fn exported(on: &Shop) -> [bool; 2] {
    let text = String::from_utf8(on.admin().get("/metrics").await.unwrap().body.to_vec()).unwrap();
    ["span", "log"].map(|what| {
        let name = format!("otel_sdk_exporter_{what}_exported_total");
        let taken = text.lines().filter(|line| line.starts_with(&name) && !line.contains("error_type"));
        taken.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).any(|count| count > 0.0)
    })
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
