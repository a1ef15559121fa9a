//! A replica is killed: those who watched there go on at the other.

use std::sync::Arc;

use auth::Role;
use messaging::Bus;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Error;
use uuid::Uuid;

use super::{
    PATH,
    clients::Socket,
    event,
    process::{Issuer, Process},
};

const EVENTS: u64 = 300;
const CLIENTS: usize = 20;

/// Connects to whichever replica is there, after what was seen last.
async fn connect(replicas: &[std::net::SocketAddr], token: &str, seen: Option<&str>) -> Socket {
    let path = seen.map_or(PATH.to_owned(), |seen| format!("{PATH}?last_event_id={seen}"));
    let bearer = [("authorization", format!("Bearer {token}"))];
    loop {
        for address in replicas {
            match Socket::connect(*address, &path, &bearer).await {
                Ok(socket) => return socket,
                Err(Error::Http(response)) if response.status() != 503 => panic!("{response:?}"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_is_replaced_by_the_other() {
    let (folder, issuer) = (testkit::temp_dir(), Issuer::start().await);
    let first = Arc::new(Mutex::new(Process::start(&folder, "first", &issuer, 100)));
    let second = Process::start(&folder, "second", &issuer, 100);
    let replicas = [first.lock().await.address, second.address];
    let bus: Arc<dyn Bus> =
        Arc::new(sqlite::Bus::open(&testkit::sqlite_url(&folder, "bus.db"), clock::system()).await.unwrap());
    let id = Uuid::new_v4();
    let token = issuer.token(id, Role::Customer);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = connect(&replicas, &token, None).await;
        let seen = socket.next().await.unwrap()["cursor"].as_str().unwrap().to_owned();
        clients.push((socket, seen));
    }
    let reading = clients.into_iter().map(async |(mut socket, mut seen)| {
        let mut number = 0;
        while number < EVENTS {
            match socket.try_next().await {
                Some(told) if told["type"] == "stream.ready" => {}
                Some(told) => {
                    assert_eq!(told["data"]["number"], number, "{told}");
                    seen = told["cursor"].as_str().unwrap().to_owned();
                    number += 1;
                }
                None => socket = connect(&replicas, &token, Some(&seen)).await,
            }
        }
    });
    let publishing = async {
        for number in 0..EVENTS {
            bus.publish(&[event(id, number)]).await.unwrap();
            if number == EVENTS / 2 {
                first.lock().await.kill();
            }
        }
    };
    futures::join!(publishing, futures::future::join_all(reading));
}
