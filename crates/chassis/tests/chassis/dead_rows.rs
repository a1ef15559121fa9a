//! What the admin port shows of an outbox, and what it has tried again.

use std::sync::{Arc, Mutex};

use axum::Router;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Raw, Server, app, config};

type Answer<T> = BoxFuture<'static, Result<T, Box<dyn std::error::Error + Send + Sync>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_rows_are_shown_and_tried_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let list = |limit: usize| -> Answer<Vec<Value>> { Box::pin(async move { Ok(vec![json!({"at_most": limit})]) }) };
    let seen = Arc::clone(&asked);
    let revive = move |event: Option<Uuid>| -> Answer<u64> {
        seen.lock().unwrap().push(event);
        Box::pin(async move { if event.is_some() { Ok(1) } else { Err("it is away".into()) } })
    };
    let admin = chassis::dead_rows(list, revive);
    let server = Server::start(config(), chassis::App { admin, ..app(Router::new()) }).await;
    let post = async |body: &str| {
        let mut connection = Raw::to(server.admin).await;
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        connection.send("POST /outbox/dead", &headers).await;
        connection.write(body).await;
        connection.read().await.unwrap()
    };
    let mut connection = Raw::to(server.admin).await;
    connection.send("GET /outbox/dead", "").await;
    assert_eq!(connection.read().await.unwrap().json(), json!({"rows": [{"at_most": 1_000}]}));
    let id = Uuid::from_u128(17);
    assert_eq!(post(&json!({"id": id}).to_string()).await.json(), json!({"revived": 1}));
    let away = post("{}").await;
    assert_eq!(
        (away.status, away.problem()["detail"].as_str()),
        (503, Some("the outbox is not available at the moment"))
    );
    let bad = post(r#"{"id": "17"}"#).await;
    assert_eq!((bad.status, &bad.problem()["errors"][0]["pointer"]), (422, &json!("/id")));
    assert_eq!(*asked.lock().unwrap(), [Some(id), None]);
    server.stop();
    server.ended().await.unwrap();
}
