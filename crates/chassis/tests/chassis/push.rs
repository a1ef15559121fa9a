//! A `WebSocket` whose client answers no pings, and those of clients that send anything at all.

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request, response::Response, routing::get};
use chassis::{
    Cors,
    push::{Push, Pushed, Socket},
};
use futures::stream;
use proptest::{
    prelude::{Strategy, any, prop_oneof},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use tokio::{
    io::AsyncReadExt as _,
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::support::{Raw, Server, app, config};

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// Frames of a client (RFC 6455, 5.2): final, masked with zeros, empty.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const SHOWN_ALIVE: [u8; 2] = [0x8a, 0];

/// A service that pushes what it is given.
async fn pushing() -> (Server, mpsc::Sender<Pushed>) {
    let mut app = app(Router::new());
    let push = Push::new(&app.tasks, &Cors::default());
    let (sender, receiver) = mpsc::channel(1);
    let receiver = Arc::new(Mutex::new(receiver));
    let open = async move |request: Request| -> Response {
        let channel = push.channel(&mut request.into_parts().0).await.unwrap();
        let pushed = stream::unfold(Arc::clone(&receiver), async |receiver| {
            let next = receiver.lock().await.recv().await?;
            Some((next, receiver))
        });
        channel.send(pushed)
    };
    app.http = Router::new().route("/", get(open));
    (Server::start(config(), app).await, sender)
}

async fn connect(server: &Server) -> Raw {
    let mut raw = Raw::to(server.http).await;
    raw.send("GET /", UPGRADE).await;
    assert_eq!(raw.read_head().await.unwrap().status, 101);
    raw
}

/// The next frame: its first byte and its content.
async fn frame(raw: &mut Raw) -> (u8, Vec<u8>) {
    let read = async {
        let (first, length) = (raw.0.read_u8().await.unwrap(), raw.0.read_u8().await.unwrap());
        let mut content = vec![0; usize::from(length)];
        raw.0.read_exact(&mut content).await.unwrap();
        (first, content)
    };
    timeout(Duration::from_secs(10), read).await.expect("no frame in time")
}

#[tokio::test]
async fn who_answers_no_pings_is_gone() {
    let (server, pushes) = pushing().await;
    let mut client = connect(&server).await;
    for _ in 0..5 {
        for _ in 0..3 {
            pushes.send(Pushed::Heartbeat(None)).await.unwrap();
            assert_eq!(frame(&mut client).await.0, PING[0]);
        }
        // One answer to three is enough. That it was read is known by the answer to our own ping.
        client.write([PONG, PING].concat()).await;
        assert_eq!(frame(&mut client).await.0, SHOWN_ALIVE[0]);
    }
    for _ in 0..3 {
        pushes.send(Pushed::Heartbeat(None)).await.unwrap();
        assert_eq!(frame(&mut client).await.0, PING[0]);
    }
    pushes.send(Pushed::Heartbeat(None)).await.unwrap();
    let (kind, content) = frame(&mut client).await;
    assert_eq!((kind, u16::from_be_bytes([content[0], content[1]])), (0x88, 4408));
}

/// The most connections of which it is not known yet whose they are.
const MAX_STRANGERS: usize = 512;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_so_many_strangers_and_no_more() {
    let mut app = app(Router::new());
    let push = Push::new(&app.tasks, &Cors::default());
    let open = async move |request: Request| -> Response {
        let upgrade = push.socket(&mut request.into_parts().0, "chat").await;
        // Whoever says something is known.
        let serve = async |mut socket: Socket| {
            while socket.listen(&mut stream::pending::<()>()).await.is_ok() {
                socket.admitted();
            }
        };
        upgrade.map_or_else(|refused| refused, |upgrade| upgrade.serve(1024, serve))
    };
    app.http = Router::new().route("/", get(open));
    let mut config = config();
    config.limits.max_connections = 2 * MAX_STRANGERS;
    config.limits.max_in_flight = 2 * MAX_STRANGERS;
    let server = Server::start(config, app).await;
    let knock = async || {
        let mut raw = Raw::to(server.http).await;
        raw.send("GET /", &format!("{UPGRADE}Sec-WebSocket-Protocol: chat\r\n")).await;
        let status = raw.read_head().await.unwrap().status;
        (status, raw)
    };
    let mut strangers = Vec::new();
    for n in 0..MAX_STRANGERS {
        let (status, raw) = knock().await;
        assert_eq!(status, 101, "stranger {n}");
        strangers.push(raw);
    }
    assert_eq!(knock().await.0, 503);
    // One says who it is, another goes.
    strangers[0].write([0x81, 0x80, 0, 0, 0, 0]).await;
    strangers.pop();
    let mut places = 0;
    testkit::eventually!({
        let (status, raw) = knock().await;
        if status == 101 {
            strangers.push(raw);
            places += 1;
        }
        places == 2
    });
    assert_eq!(knock().await.0, 503);
}

/// Bytes of a client: anything, or frames with any head.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 1..2_000);
    let head = (any::<u8>(), any::<u8>(), any::<u64>(), any::<[u8; 4]>());
    let single =
        (head, proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|((first, second, long, mask), rest)| {
            let length = match second & 0x7f {
                126 => long.to_be_bytes()[6..].to_vec(),
                127 => long.to_be_bytes().to_vec(),
                _ => Vec::new(),
            };
            [vec![first, second], length, mask.to_vec(), rest].concat()
        });
    let frames = proptest::collection::vec(single, 1..5).prop_map(|all| all.concat());
    prop_oneof![noise, frames]
}

/// How often what is ours, or a library, has panicked since.
fn panics() -> Arc<AtomicUsize> {
    let (count, before) = (Arc::new(AtomicUsize::new(0)), panic::take_hook());
    let counted = Arc::clone(&count);
    panic::set_hook(Box::new(move |info| {
        // Other tests of this program have routes that panic.
        if info.location().is_none_or(|location| !location.file().contains("tests/")) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        before(info);
    }));
    count
}

#[tokio::test]
async fn whatever_a_client_sends_is_no_trouble() {
    let ((server, pushes), panics) = (pushing().await, panics());
    let (mut runner, bytes) = (TestRunner::default(), bytes());
    for _ in 0..500 {
        let bytes = bytes.new_tree(&mut runner).unwrap().current();
        let mut client = connect(&server).await;
        // It may be closed before all is written.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.0, &bytes).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.0).await;
        let ended = timeout(Duration::from_secs(10), client.0.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "open after {bytes:02x?}");
    }
    assert_eq!(panics.load(Ordering::Relaxed), 0);
    let mut client = connect(&server).await;
    pushes.send(Pushed::Heartbeat(None)).await.unwrap();
    assert_eq!(frame(&mut client).await.0, PING[0]);
}
