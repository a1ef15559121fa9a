//! Overload, deadlines, panics, and slow clients.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::{Raw, Server, app, config, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused_at_once() {
    let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let held = (Arc::clone(&entered), Arc::clone(&leave));
    let wait = async move || {
        held.0.add_permits(1);
        let _ = held.1.acquire().await;
        "done"
    };
    let mut config = config();
    config.limits.max_in_flight = 2;
    let server = Server::start(config, app(Router::new().route("/", get(wait)))).await;
    let mut held = [Raw::to(server.http).await, Raw::to(server.http).await];
    for raw in &mut held {
        raw.send("GET /", "").await;
    }
    entered.acquire_many(2).await.unwrap().forget();
    let refused = request(server.http, "GET /", "").await;
    assert_eq!((refused.problem()["status"].as_u64(), refused.header("retry-after")), (Some(503), Some("1")));
    leave.add_permits(2);
    for raw in &mut held {
        assert_eq!(raw.read().await.unwrap().status, 200);
    }
    leave.add_permits(1);
    assert_eq!(request(server.http, "GET /", "").await.status, 200, "the permits are free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_ends_when_its_caller_no_longer_waits() {
    let slow = get(std::future::pending::<&'static str>);
    let left = get(async || telemetry::remaining(Duration::from_hours(1)).as_millis().to_string());
    let mut config = config();
    config.limits.request_timeout = Duration::from_secs(2);
    let server = Server::start(config, app(Router::new().route("/slow", slow).route("/left", left))).await;
    let start = Instant::now();
    let late = request(server.http, "GET /slow", "x-request-timeout-ms: 50\r\n").await;
    assert_eq!(late.problem()["status"], 504);
    assert!(start.elapsed() < Duration::from_secs(1));
    let left = async |headers: &str| {
        let body = request(server.http, "GET /left", headers).await.body;
        String::from_utf8(body).unwrap().parse::<u64>().unwrap()
    };
    assert!((1..=700).contains(&left("x-request-timeout-ms: 700\r\n").await));
    for ignored in
        ["", "x-request-timeout-ms: 3600000\r\n", "x-request-timeout-ms: soon\r\n", "x-request-timeout-ms: -1\r\n"]
    {
        assert!((701..=2000).contains(&left(ignored).await), "{ignored}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_answer_and_the_connection_lives() {
    let panic = get(async || -> &'static str { panic!("the secret is 1234") });
    let server = Server::of(Router::new().route("/panic", panic).route("/fine", get(async || "fine"))).await;
    let mut raw = Raw::to(server.http).await;
    raw.send("GET /panic", "").await;
    let response = raw.read().await.unwrap();
    assert_eq!(response.problem()["status"], 500);
    assert!(!String::from_utf8_lossy(&response.body).contains("1234"));
    raw.send("GET /fine", "").await;
    assert_eq!(raw.read().await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_that_dawdle_are_cut_off() {
    let server = Server::of(Router::new().route("/", get(async || "fine"))).await;
    let mut silent = Raw::to(server.http).await;
    let mut slow = Raw::to(server.http).await;
    slow.write("GET / HTTP/1.1\r\nHost:").await;
    // The first bytes of HTTP/2 and no more: nobody knows yet which protocol it is.
    let mut undecided = Raw::to(server.http).await;
    undecided.write("PR").await;
    let mut slow_later = Raw::to(server.http).await;
    slow_later.send("GET /", "").await;
    assert_eq!(slow_later.read().await.unwrap().status, 200);
    slow_later.write("GET / HT").await;
    let mut quiet = Raw::to(server.http).await;
    quiet.send("GET /", "").await;
    assert_eq!(quiet.read().await.unwrap().status, 200);

    let time = Duration::from_secs(18);
    let (a, b, c, d) = tokio::join!(
        silent.closes_within(time),
        slow.closes_within(time),
        undecided.closes_within(time),
        slow_later.closes_within(time),
    );
    assert!(a, "a connection on which nothing comes");
    assert!(b, "a head that does not end");
    assert!(c, "a protocol that is not decided");
    assert!(d, "a later head that does not end");
    // Clients and gateways keep connections for 30 s and more; closing one under a request loses it.
    assert!(!quiet.closes_within(Duration::from_millis(1)).await, "one that is merely quiet stays");
    quiet.send("GET /", "").await;
    assert_eq!(quiet.read().await.unwrap().status, 200);
}
