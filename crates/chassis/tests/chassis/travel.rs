//! What travels from hop to hop through our own client: trace context, canary mark and deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use auth::Credential;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use client::{BreakerConfig, Grpc, Http};
use telemetry::Carrier;
use tokio::time::Instant;
use tonic::Request;
use tracing::Span;

use crate::calls::{call, probe};
use crate::support::{Server, config, request};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn incoming() -> Carrier {
    let traceparent = Some(format!("00-{TRACE}-b7ad6b7169203331-01"));
    Carrier { traceparent, tracestate: Some("vendor=1".into()), canary: true }
}

async fn echo(headers: HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    let names = ["traceparent", "tracestate", "x-canary", "x-service-credential", "x-request-timeout-ms"];
    names.map(text).join(" ")
}

fn http(server: &Server, config: client::Config) -> Http {
    Http::new(&format!("http://{}", server.http), config, Some(Credential::new("secret", "order")), "user")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http() {
    let server = Server::of(Router::new().route("/", get(echo))).await;
    let http = http(&server, client::Config::default());
    let deadline = Some(Instant::now() + Duration::from_millis(900));
    let response = telemetry::scope(&incoming(), deadline, Span::none(), http.get("/")).await.unwrap();
    let body = String::from_utf8(response.body.to_vec()).unwrap();
    let [parent, state, canary, credential, timeout] = body.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{body}")
    };
    assert!(parent.contains(TRACE), "{body}");
    assert_eq!((state, canary), ("vendor=1", "true"));
    assert!(credential.starts_with("order."));
    assert!((1..=900).contains(&timeout.parse::<u64>().unwrap()), "{timeout}");

    let outside = http.get("/").await.unwrap();
    assert!(String::from_utf8_lossy(&outside.body).contains(" - order."), "no mark is invented");
}

/// Baggage may hold anything, and who is called need not be told it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baggage_goes_no_further() {
    let names = async |headers: HeaderMap| format!("{:?}", headers.keys().collect::<Vec<_>>());
    let callee = Server::of(Router::new().route("/", get(names))).await;
    let callee = http(&callee, client::Config::default());
    let forward = async move || callee.get("/").await.unwrap().body;
    let server = Server::of(Router::new().route("/", get(forward))).await;
    let headers = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\nbaggage: user=ada,plan=gold\r\n");
    let told = request(server.http, "GET /", &headers).await;
    let told = String::from_utf8(told.body).unwrap();
    assert!(told.contains("traceparent") && !told.contains("baggage"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_grpc() {
    let server = Server::start(config(), probe()).await;
    let url = format!("http://{}", server.grpc);
    let grpc = Grpc::new(&url, client::Config::default(), None, "payment").unwrap();
    let request = |text: &'static str| grpc.call(true, move |channel| call(channel, Request::new(text.to_owned())));
    let seen = telemetry::scope(&incoming(), None, Span::none(), request("context")).await.unwrap();
    assert!(seen.starts_with(&format!("{TRACE} true 00-{TRACE}-")), "{seen}");
    let deadline = Some(Instant::now() + Duration::from_millis(700));
    let left = telemetry::scope(&incoming(), deadline, Span::none(), request("left")).await.unwrap();
    assert!((1..=700).contains(&left.parse::<u64>().unwrap()), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_idempotent_is_tried_again_and_the_deadline_shrinks() {
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let flaky = async move |headers: HeaderMap| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let body = headers["x-request-timeout-ms"].to_str().unwrap().to_owned();
        (if n.is_multiple_of(2) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, body)
    };
    let server = Server::of(Router::new().route("/", get(flaky))).await;
    let config = client::Config { timeout: Duration::from_secs(2), ..client::Config::default() };
    let http = http(&server, config);
    let response = http.get("/").await.unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 2);
    let left: u64 = String::from_utf8(response.body.to_vec()).unwrap().parse().unwrap();
    assert!(left < 2000, "less after the first attempt: {left}");
    let refused = http.send(http::Method::GET, "/", HeaderMap::new(), None, false).await;
    assert!(refused.is_err());
    assert_eq!(made.load(Ordering::SeqCst), 3, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_attempt_over_grpc_has_less_time_too() {
    let server = Server::start(config(), probe()).await;
    let config = client::Config { timeout: Duration::from_secs(2), ..client::Config::default() };
    let grpc = Grpc::new(&format!("http://{}", server.grpc), config, None, "payment").unwrap();
    let attempts = AtomicU32::new(0);
    let left = grpc.call(true, |channel| {
        let first = attempts.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                tokio::time::sleep(Duration::from_millis(600)).await;
                return Err(tonic::Status::unavailable("not yet"));
            }
            call(channel, Request::new("left".to_owned())).await
        }
    });
    let left: u64 = left.await.unwrap().parse().unwrap();
    assert!(left <= 1400, "the first attempt's time is gone: {left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_is_down_is_left_alone() {
    let server = Server::of(Router::new()).await;
    let breaker = BreakerConfig { window: 4, ..BreakerConfig::default() };
    let config = client::Config { retries: 0, breaker, ..client::Config::default() };
    let http = http(&server, config);
    server.stop();
    server.ended().await.unwrap();
    for _ in 0..4 {
        assert!(matches!(http.get("/").await, Err(client::Error::Unavailable { .. })));
    }
    assert!(matches!(http.get("/").await, Err(client::Error::BreakerOpen { callee: "user", .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_callee_is_away_is_said() {
    let uri = format!("http://127.0.0.1:{}", testkit::free_port());
    let config = client::Config { retries: 0, ..client::Config::default() };
    let grpc = Grpc::new(&uri, config, None, "user").unwrap();
    let away = grpc.call(false, |channel| call(channel, Request::new("fine".to_owned()))).await.unwrap_err();
    assert!(error::chain(&away).contains("refused"), "{away}");
}
