//! Shutdown: nothing that was accepted fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::{Listeners, Tasks};
use testkit::eventually;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::{Raw, Server, app, config, held, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lame_duck_then_drain_then_tasks_then_the_end() {
    let (router, entered, leave) = held();
    let mut config = config();
    config.shutdown.lame_duck = Duration::from_secs(2);
    let mut app = app(router);
    let (tasks_ended, drained) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (token, flag) = (app.tasks.token(), Arc::clone(&tasks_ended));
    app.tasks.spawn("consumer", async move {
        token.cancelled().await;
        flag.store(true, Ordering::SeqCst);
        Ok(())
    });
    let (saw, flag) = (Arc::clone(&tasks_ended), Arc::clone(&drained));
    app.on_drained.push(Box::pin(async move { flag.store(saw.load(Ordering::SeqCst), Ordering::SeqCst) }));
    let server = Server::start(config, app).await;
    let mut open = Raw::to(server.http).await;
    open.send("GET /", "").await;
    assert_eq!(open.read().await.unwrap().header("connection"), None);
    let mut busy = Raw::to(server.http).await;
    busy.send("GET /held", "").await;
    entered.acquire().await.unwrap().forget();

    server.stop();
    eventually!(request(server.admin, "GET /healthz/ready", "").await.status == 503);
    assert_eq!(request(server.admin, "GET /healthz/live", "").await.status, 200);
    open.send("GET /", "").await;
    let last = open.read().await.unwrap();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert_eq!(request(server.http, "GET /", "").await.status, 200, "still taken as a lame duck");
    eventually!(tokio::net::TcpStream::connect(server.http).await.is_err());
    assert!(!tasks_ended.load(Ordering::SeqCst), "tasks go on while a request is open");
    leave.add_permits(1);
    assert_eq!(busy.read().await.unwrap().status, 200, "what was accepted is answered");
    server.ended().await.unwrap();
    assert!(drained.load(Ordering::SeqCst), "the end comes after the tasks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_had_knocked_is_let_in() {
    // Connections that the system has accepted but the process has not: here because it does not serve yet.
    let config = config();
    let listeners = Listeners::bind(&config).await.unwrap();
    let [http, ..] = listeners.addresses().unwrap();
    let mut knocked = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::to(http).await;
        raw.send("GET /", "").await;
        knocked.push(raw);
    }
    let (router, ..) = held();
    let stopped = std::future::ready(());
    let end = TaskTracker::new().spawn(chassis::serve_until(listeners, config, app(router), stopped));
    for raw in &mut knocked {
        let response = raw.read().await.expect("dropped without a response");
        assert_eq!(response.status, 200);
    }
    end.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_under_load() {
    let mut config = config();
    config.shutdown.lame_duck = Duration::from_millis(150);
    let server = Server::start(config, app(Router::new().route("/", get(async || "fine")))).await;
    let (answered, stopping) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (address, answered, stopping) = (server.http, Arc::clone(&answered), stopping.clone());
        clients.spawn(async move {
            // Who cannot connect was never accepted.
            while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
                let mut raw = Raw(stream);
                for exchange in 0..50 {
                    raw.send("GET /", "").await;
                    let Some(response) = raw.read().await else {
                        // Nor was whom the kernel had connected when the listener closed.
                        assert!(exchange == 0 && stopping.is_cancelled(), "accepted and not answered");
                        return;
                    };
                    assert_eq!(response.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if response.header("connection") == Some("close") {
                        break;
                    }
                }
            }
        });
    }
    eventually!(answered.load(Ordering::Relaxed) > 200);
    stopping.cancel();
    server.stop();
    server.ended().await.unwrap();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_hold_it_up() {
    let (router, ..) = held();
    let server = Server::of(router).await;
    let _silent = Raw::to(server.http).await;
    let mut quiet = Raw::to(server.http).await;
    quiet.send("GET /", "").await;
    quiet.read().await.unwrap();
    let start = Instant::now();
    server.stop();
    server.ended().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_hangs_holds_it_up_only_until_the_deadline() {
    let (router, entered, _leave) = held();
    let mut config = config();
    config.shutdown.deadline = Duration::from_millis(500);
    let mut app = app(router);
    let (task_stopped, closed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (token, flag) = (app.tasks.token(), Arc::clone(&task_stopped));
    app.tasks.spawn("consumer", async move {
        token.cancelled().await;
        flag.store(true, Ordering::SeqCst);
        Ok(())
    });
    let flag = Arc::clone(&closed);
    app.on_drained.push(Box::pin(async move { flag.store(true, Ordering::SeqCst) }));
    let server = Server::start(config, app).await;
    let mut busy = Raw::to(server.http).await;
    busy.send("GET /held", "").await;
    entered.acquire().await.unwrap().forget();
    let start = Instant::now();
    server.stop();
    let error = server.ended().await.unwrap_err().to_string();
    assert!(error.contains("requests") && !error.contains("tasks"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(task_stopped.load(Ordering::SeqCst), "tasks get to finish all the same");
    assert!(closed.load(Ordering::SeqCst), "and the database is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_ends_the_process() {
    let mut app = app(Router::new());
    app.tasks = Tasks::new();
    app.tasks.spawn("relay", async { anyhow::bail!("the bus is gone") });
    let server = Server::start(config(), app).await;
    let error = server.ended().await.unwrap_err().to_string();
    assert!(error.contains("relay") && error.contains("the bus is gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_says_what_to_do() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut config = config();
    config.grpc.port = port;
    let error = format!("{:#}", Listeners::bind(&config).await.unwrap_err());
    assert!(error.contains(&port.to_string()) && error.contains("TRIREME_GRPC__PORT"), "{error}");
}

/// What HTTP/2 begins with: the preface and empty settings.
const HTTP2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_asked_for_nothing_does_not_hold_it_up() {
    for silent in ["PR", "PRI * HTTP/2.0", HTTP2, "GET", "GET / HTTP/1.1\r\nHost:"] {
        let (router, ..) = held();
        let server = Server::of(router).await;
        let mut peers = [Raw::to(server.http).await, Raw::to(server.grpc).await, Raw::to(server.admin).await];
        for peer in &mut peers {
            peer.write(silent).await;
        }
        assert_eq!(request(server.http, "GET /", "").await.status, 200);
        let start = Instant::now();
        server.stop();
        let end = server.ended().await;
        assert!(end.is_ok() && start.elapsed() < Duration::from_secs(4), "{silent:?}: {end:?} {:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_send_what_was_announced_does_not_hold_it_up() {
    let echo = axum::routing::post(async |body: bytes::Bytes| body);
    let server = Server::of(Router::new().route("/", echo)).await;
    let mut peer = Raw::to(server.http).await;
    peer.send("POST /", "Content-Length: 100\r\nExpect: 100-continue\r\n").await;
    assert_eq!(peer.read_head().await.unwrap().status, 100, "the body is waited for");
    let start = Instant::now();
    server.stop();
    let end = server.ended().await;
    assert!(end.is_ok() && start.elapsed() < Duration::from_secs(4), "{end:?} {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_and_open_streams_end() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

    let mut config = config();
    config.shutdown.lame_duck = Duration::from_millis(500);
    let server = Server::start(config, app(Router::new())).await;
    let uri = format!("http://{}", server.grpc);
    let channel = tonic::transport::Channel::from_shared(uri).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    testkit::eventually!(health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status == 1);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1, "serving");
    let asked = futures::stream::pending();
    let mut open = ServerReflectionClient::new(channel).server_reflection_info(asked).await.unwrap().into_inner();
    let start = Instant::now();
    server.stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2, "not serving");
    assert_eq!(health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status, 2, "while it goes on");
    assert_eq!(watch.message().await.unwrap(), None, "and that is the end");
    let end = server.ended().await;
    assert!(end.is_ok() && start.elapsed() < Duration::from_secs(5), "{end:?} {:?}", start.elapsed());
    assert!(open.message().await.is_err(), "who asks nothing is not waited for");
}
