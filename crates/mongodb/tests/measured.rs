//! The driver's pool is measured: who waits for a connection, and who waited in vain. A process of its own: telemetry begins
//! before its instruments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{future::pending, time::Duration};

use mongodb::{
    Collection, Error,
    bson::{Document, doc},
    connect, within,
};
use telemetry::{Config, Format};
use testkit::servers::MongoDb;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// A command with this in it comes to no end.
const STUCK: &str = "stuck";

/// Carries what a client and the server at that address say to each other.
async fn carry(client: TcpStream, server: String) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if buffer[..read].windows(STUCK.len()).any(|part| part == STUCK.as_bytes()) {
                pending::<()>().await;
            }
            to_server.write_all(&buffer[..read]).await.unwrap();
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// The URL of a way to a database at that URL, and what carries on it while it lives.
async fn way(url: &str) -> (String, JoinSet<()>) {
    let (before, after) = url.split_once("127.0.0.1:").unwrap();
    let (port, database) = after.split_once('/').unwrap();
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), format!("127.0.0.1:{port}"));
    let begin = listener.local_addr().unwrap();
    let mut carrying = JoinSet::new();
    carrying.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(carry(client, server.clone()));
        }
    });
    let separator = if database.contains('?') { '&' } else { '?' };
    (format!("{before}{begin}/{database}{separator}maxPoolSize=1&directConnection=true"), carrying)
}

/// What is measured of the pool: the most connections, those in use, who waits, who waited in vain.
fn measured() -> [Option<f64>; 4] {
    let shown = telemetry::prometheus_text();
    ["max", "count", "pending_requests", "timeouts_total"].map(|metric| {
        let line = format!("db_client_connection_{metric}{{db_client_connection_pool_name=\"one\"");
        let mut lines = shown.lines().filter(|shown| shown.starts_with(&line));
        lines.find(|line| !line.contains("idle"))?.rsplit(' ').next()?.parse().ok()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_says_who_waits_for_it_and_who_waited_in_vain() {
    let Some(server) = MongoDb::shared().await else { return };
    let config = Config { log: "off".to_owned(), format: Format::Json, recent_spans: 0 };
    let guard = telemetry::init(&config, "test", "0").unwrap();
    let (url, _carrying) = way(&server.database()).await;
    let things: Collection<Document> = connect(&url, "one").await.unwrap().collection("things");
    within("insert things", things.insert_one(doc! { "a": 1 })).await.unwrap();
    testkit::eventually!(measured() == [1.0, 0.0, 0.0, 0.0].map(Some));

    let others = async {
        testkit::eventually!(measured() == [1.0, 1.0, 0.0, 0.0].map(Some));
        // Who goes away does not wait any more, and was not refused.
        let gone = timeout(Duration::from_millis(50), within("find things", things.find_one(doc! {}))).await;
        assert!(gone.is_err(), "{gone:?}");
        assert_eq!(measured(), [1.0, 1.0, 0.0, 0.0].map(Some));
        let (waited, ()) = tokio::join!(within("find things", things.find_one(doc! {})), async {
            testkit::eventually!(measured() == [1.0, 1.0, 1.0, 0.0].map(Some));
        });
        assert!(matches!(waited, Err(Error::TimedOut)), "{waited:?}");
        assert_eq!(measured(), [1.0, 1.0, 0.0, 1.0].map(Some));
    };
    tokio::select! {
        // Without a limit.
        answer = things.find_one(doc! { STUCK: 1 }).into_future() => panic!("{answer:?}"),
        () = others => {}
    }
    guard.shutdown(Duration::from_secs(1)).await;
}
