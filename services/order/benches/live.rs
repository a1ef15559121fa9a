//! Measures live events on one process: the memory of each WebSocket, and how soon after an event all are told of it.
//!
//! `make bench-live`, or `SOCKETS=1000 make bench-live`. Linux only: it reads `/proc`. Each socket is a file in both
//! processes: `ulimit -n` has to allow them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../tests/api/stream/process.rs"]
mod process;

use std::time::Duration;

use auth::Role;
use futures::{StreamExt as _, stream};
use messaging::{Bus as _, Event};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{net::TcpStream, sync::mpsc, time::sleep};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use process::{Issuer, Process};

const EVENTS: usize = 40;

type Socket = WebSocketStream<TcpStream>;

async fn connect(process: &Process, token: &str) -> Socket {
    let url = format!("ws://{}/v1/orders/stream?user_id=all", process.address);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let stream = TcpStream::connect(process.address).await.unwrap();
    let config = WebSocketConfig::default().read_buffer_size(1024);
    let mut socket = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.unwrap().0;
    assert!(socket.next().await.unwrap().unwrap().is_text(), "it is ready");
    socket
}

/// How long after each event a socket is told of it.
async fn listen(mut socket: Socket, told: mpsc::Sender<Duration>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let now = OffsetDateTime::now_utc();
        let document: Value = serde_json::from_str(&text).unwrap();
        if let Some(time) = document["time"].as_str() {
            let time = OffsetDateTime::parse(time, &Rfc3339).unwrap();
            told.send(Duration::try_from(now - time).unwrap_or_default()).await.unwrap();
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let count: usize = std::env::var("SOCKETS").map_or(5_000, |count| count.parse().unwrap());
    let (folder, issuer) = (testkit::temp_dir(), Issuer::start().await);
    let process = Process::start(&folder, "order", &issuer, count + 100);
    let bus = sqlite::Bus::open(&testkit::sqlite_url(&folder, "bus.db"), clock::system()).await.unwrap();
    let token = issuer.token(Uuid::new_v4(), Role::Operator);
    // What the first ones cost is the process' own.
    let warm: Vec<Socket> = stream::iter(0..50).then(|_| connect(&process, &token)).collect().await;
    let before = process.resident();
    let opening = stream::iter(0..count).map(|_| connect(&process, &token)).buffer_unordered(32);
    let sockets: Vec<Socket> = opening.collect().await;
    let open = process.resident();
    let (sender, mut told) = mpsc::channel(count * 2);
    let tasks = TaskTracker::new();
    for socket in sockets.into_iter().chain(warm) {
        tasks.spawn(listen(socket, sender.clone()));
    }
    let all = (count + 50) * EVENTS;
    let publishing = async {
        for number in 0..EVENTS {
            let user = Uuid::new_v4();
            let data = json!({ "order_id": Uuid::new_v4(), "user_id": user, "version": 1, "number": number,
                "total": { "amount": 1299, "currency": "EUR" }, "items": [{ "product_id": user, "quantity": 1 }] });
            let now = clock::system().now();
            bus.publish(&[Event::new("order.confirmed.v1", "order", user, now, data).unwrap()]).await.unwrap();
            // Each by itself: what is measured is one event for all.
            sleep(Duration::from_secs(1)).await;
        }
    };
    let reading = async {
        let mut delays = Vec::with_capacity(all);
        while delays.len() < all {
            delays.push(told.recv().await.unwrap());
        }
        delays.sort_unstable();
        delays
    };
    let ((), delays) = tokio::join!(publishing, reading);
    let after = process.resident();
    let each = |kib: u64| {
        f64::from(u32::try_from(kib.saturating_sub(before)).unwrap()) / f64::from(u32::try_from(count).unwrap())
    };
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    println!("sockets                {count}");
    println!(
        "resident               {:.1} MiB before, {:.1} MiB with them, {:.1} MiB after {EVENTS} events for all",
        f64::from(u32::try_from(before).unwrap()) / 1024.0,
        f64::from(u32::try_from(open).unwrap()) / 1024.0,
        f64::from(u32::try_from(after).unwrap()) / 1024.0
    );
    println!("a socket               {:.1} KiB open, {:.1} KiB after the events", each(open), each(after));
    println!("an event to a socket   p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms", at(50), at(99), at(100));
}
