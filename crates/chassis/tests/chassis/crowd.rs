//! More connections than there is room for.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use testkit::eventually;

use crate::support::{Raw, Server, app, config, held, request};

/// A connection that has been of use and is idle now.
async fn connect(server: &Server) -> Raw {
    let mut raw = Raw::to(server.http).await;
    raw.send("GET /", "").await;
    assert_eq!(raw.read().await.unwrap().status, 200);
    raw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_room_who_was_idle_longest_goes() {
    let mut config = config();
    config.limits.max_connections = 3;
    let server = Server::start(config, app(Router::new().route("/", get(async || "fine")))).await;
    let (mut first, mut second, mut third) = (connect(&server).await, connect(&server).await, connect(&server).await);
    first.send("GET /", "").await;
    assert_eq!(first.read().await.unwrap().status, 200);
    assert_eq!(request(server.http, "GET /", "").await.status, 200, "a newcomer is served");
    assert!(second.closes_within(Duration::from_secs(1)).await, "in the place of who was idle longest");
    for kept in [&mut first, &mut third] {
        kept.send("GET /", "").await;
        assert_eq!(kept.read().await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_say_nothing_keep_nobody_out() {
    let mut config = config();
    config.limits.max_connections = 4;
    let server = Server::start(config, app(Router::new().route("/", get(async || "fine")))).await;
    for address in [server.http, server.admin] {
        let mut strangers = Vec::new();
        for n in 0..70 {
            let mut raw = Raw::to(address).await;
            raw.write(["", "PRI", "GET /"][n % 3]).await;
            strangers.push(raw);
        }
        let path = if address == server.http { "GET /" } else { "GET /healthz/ready" };
        for _ in 0..5 {
            assert_eq!(request(address, path, "").await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_full_of_work_is_not_ready() {
    let (router, entered, leave) = held();
    let mut config = config();
    config.limits.max_connections = 2;
    config.limits.request_timeout = Duration::from_secs(30);
    let server = Server::start(config, app(router)).await;
    let mut busy = [Raw::to(server.http).await, Raw::to(server.http).await];
    for raw in &mut busy {
        raw.send("GET /held", "").await;
    }
    entered.acquire_many(2).await.unwrap().forget();
    let ready = async || request(server.admin, "GET /healthz/ready", "").await;
    assert_eq!(ready().await.status, 200, "nobody waits for a place");
    let mut waiting = Raw::to(server.http).await;
    waiting.send("GET /", "").await;
    eventually!(ready().await.status == 503);
    let report = ready().await.json();
    assert_eq!(report["checks"]["http"]["status"], "not_ready", "{report}");
    assert_eq!(report["checks"]["grpc"]["status"], "ready", "{report}");
    leave.add_permits(2);
    assert_eq!(waiting.read().await.unwrap().status, 200, "a connection that has been answered gives way");
    eventually!(ready().await.status == 200);
    for raw in &mut busy {
        assert_eq!(raw.read().await.unwrap().status, 200);
    }
}
