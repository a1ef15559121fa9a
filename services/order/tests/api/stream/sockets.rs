//! A `WebSocket`, over a real connection.

use std::{net::SocketAddr, time::Duration};

use auth::Role;
use chassis::{Config, Cors, Health, Limits, Listen, Listeners, Shutdown};
use futures::SinkExt as _;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use uuid::Uuid;

use super::{
    PATH,
    clients::{Events, Socket},
    following, memory, publish,
};
use crate::app::{ORIGIN, Person, RequestExt as _, TestApp};

/// The service on a port.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) end: JoinHandle<anyhow::Result<()>>,
}

impl Served {
    pub(crate) async fn start(app: &TestApp) -> Self {
        let listen = || Listen { host: "127.0.0.1".to_owned(), port: 0 };
        let shutdown = Shutdown { lame_duck: Duration::ZERO, deadline: Duration::from_secs(10) };
        let (limits, cors) = (Limits::default(), Cors::default());
        let config = Config { http: listen(), grpc: listen(), admin: listen(), shutdown, limits, cors };
        let service = chassis::App {
            name: "order",
            version: "1.2.3",
            commit: "abc",
            http: app.bare.clone(),
            grpc: Routes::default(),
            admin: axum::Router::new(),
            descriptors: &[],
            health: Health::new(),
            tasks: app.tasks.clone(),
            on_drained: Vec::new(),
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let [address, ..] = listeners.addresses().unwrap();
        let stop = CancellationToken::new();
        let signal = stop.clone().cancelled_owned();
        let end = TaskTracker::new().spawn(chassis::serve_until(listeners, config, service, signal));
        Self { address, stop, end }
    }
}

fn refused(result: Result<Socket, tungstenite::Error>) -> u16 {
    match result.map(|_| ()) {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_socket_is_told_the_same_and_resumes() {
    let bus = memory().await;
    let app = following(&bus).await;
    let served = Served::start(&app).await;
    let customer = app.customer();
    let mut socket = Socket::open(served.address, &customer, PATH).await;
    let mut events = Events::open(&app, &customer, PATH).await;
    assert_eq!(socket.next().await.unwrap(), events.first.document);
    publish(&bus, customer.id, 0..3).await;
    let mut cursor = String::new();
    for number in 0..3 {
        let told = socket.next().await.unwrap();
        assert_eq!(told, events.next().await.document);
        assert_eq!(told["data"]["number"], number);
        cursor = if number == 0 { told["cursor"].as_str().unwrap().to_owned() } else { cursor };
    }
    let mut again = Socket::open(served.address, &customer, &format!("{PATH}?last_event_id={cursor}")).await;
    let ready = again.next().await.unwrap();
    assert_eq!((&ready["type"], &ready["cursor"]), (&"stream.ready".into(), &cursor.into()));
    assert_eq!(again.next().await.unwrap()["data"]["number"], 1);
    assert_eq!(again.next().await.unwrap()["data"]["number"], 2);
}

#[tokio::test]
async fn a_socket_is_opened_by_who_may() {
    let app = following(&memory().await).await;
    let address = Served::start(&app).await.address;
    let customer = app.customer();
    let token = ("authorization", format!("Bearer {}", customer.token));
    assert_eq!(refused(Socket::connect(address, PATH, &[]).await), 401);
    let evil = [token.clone(), ("origin", "https://evil.example".to_owned())];
    assert_eq!(refused(Socket::connect(address, PATH, &evil).await), 403);
    let all = format!("{PATH}?user_id=all");
    assert_eq!(refused(Socket::connect(address, &all, std::slice::from_ref(&token)).await), 403);
    for origin in [ORIGIN.to_owned(), format!("http://{address}")] {
        Socket::connect(address, PATH, &[token.clone(), ("origin", origin)]).await.unwrap();
    }
    let ticket = app.post("/v1/orders/stream/tickets").by(&customer).send().await;
    let path = format!("{PATH}?ticket={}", ticket.text("ticket"));
    let page = [("origin", ORIGIN.to_owned())];
    assert_eq!(Socket::connect(address, &path, &page).await.unwrap().next().await.unwrap()["type"], "stream.ready");
    assert_eq!(refused(Socket::connect(address, &path, &page).await), 401, "used");
}

#[tokio::test]
async fn whatever_a_client_says_is_too_much() {
    let app = following(&memory().await).await;
    let address = Served::start(&app).await.address;
    let customer = app.customer();
    for (text, code) in [("hello".to_owned(), 1008), ("x".repeat(2_000), 1009)] {
        let mut socket = Socket::open(address, &customer, PATH).await;
        socket.next().await.unwrap();
        socket.send(&text).await;
        assert_eq!(socket.next().await.unwrap_err(), code);
    }
    let mut socket = Socket::open(address, &customer, PATH).await;
    socket.next().await.unwrap();
    socket.0.send(Message::Close(None)).await.unwrap();
    testkit::eventually!(app.tasks.tracker().is_empty());
}

#[tokio::test]
async fn a_socket_is_closed_when_its_token_runs_out() {
    let app = following(&memory().await).await;
    let address = Served::start(&app).await.address;
    let id = Uuid::new_v4();
    let customer = Person { id, token: app.token(id, Role::Customer, 1) };
    let mut socket = Socket::open(address, &customer, PATH).await;
    socket.next().await.unwrap();
    assert_eq!(socket.next().await.unwrap_err(), 4401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_told_that_the_process_ends() {
    let bus = memory().await;
    let app = following(&bus).await;
    let served = Served::start(&app).await;
    let customer = app.customer();
    let mut socket = Socket::open(served.address, &customer, PATH).await;
    let mut events = Events::open(&app, &customer, PATH).await;
    socket.next().await.unwrap();
    served.stop.cancel();
    assert_eq!(socket.next().await.unwrap_err(), 1001);
    let last = events.next().await;
    assert_eq!((last.kind.as_str(), &last.document["code"]), ("stream.closed", &1001.into()));
    assert!(events.ended().await);
    served.end.await.unwrap().unwrap();
    app.get(PATH).by(&customer).send().await.problem(503);
}
