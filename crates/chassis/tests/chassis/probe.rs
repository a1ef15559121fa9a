//! A container's health check by the binary itself.

use axum::Router;
use chassis::{Health, Listen, probe};

use crate::support::{Server, app, config};

fn at(port: u16, host: &str) -> Listen {
    Listen { host: host.to_owned(), port }
}

#[tokio::test]
async fn says_whether_the_service_is_ready() {
    let server = Server::of(Router::new()).await;
    for host in ["127.0.0.1", "0.0.0.0"] {
        probe(&at(server.admin.port(), host)).await.unwrap();
    }

    let mut broken = app(Router::new());
    broken.health = Health::new().check("database", (), async |()| Err("gone".to_owned()));
    let server = Server::start(config(), broken).await;
    let message = probe(&at(server.admin.port(), "127.0.0.1")).await.unwrap_err().to_string();
    assert!(message.starts_with("not ready") && message.contains("database"), "{message}");
}

#[tokio::test]
async fn says_that_nobody_answers() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let message = probe(&at(free, "127.0.0.1")).await.unwrap_err().to_string();
    assert!(message.contains(&free.to_string()), "{message}");
    let message = probe(&at(0, "127.0.0.1")).await.unwrap_err().to_string();
    assert!(message.contains("admin.port"), "{message}");
}
