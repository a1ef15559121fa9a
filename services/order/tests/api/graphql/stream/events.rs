//! Server-Sent Events as graphql-sse has them, in its mode of distinct connections.

use std::{pin::Pin, time::Duration};

use auth::Role;
use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt as _};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::{EVENTS, PATH, relaying};
use crate::{
    app::{Person, RequestExt as _, TestApp},
    stream::{following, memory},
};

/// A client.
struct Client {
    body: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    read: String,
}

impl Client {
    async fn subscribe(app: &TestApp, person: &Person, query: &str, variables: Value) -> Self {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {}", person.token))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream");
        let response = app.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        Self { body: Box::pin(response.into_body().into_data_stream()), read: String::new() }
    }

    /// The next event, with its name; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
                };
                let told = field("event")
                    .map(|name| (name.to_owned(), serde_json::from_str(field("data").unwrap()).unwrap_or_default()));
                self.read.drain(..self.read.len() - rest.len());
                if told.is_some() {
                    return told;
                }
            }
            let read = timeout(Duration::from_secs(20), self.body.next()).await.expect("an event in time");
            self.read.push_str(std::str::from_utf8(&read?.unwrap()).unwrap());
        }
    }

    async fn event(&mut self) -> Value {
        let (name, answer) = self.next().await.unwrap();
        assert_eq!((name.as_str(), &answer["errors"]), ("next", &Value::Null), "{answer}");
        answer["data"]["orderEvents"].clone()
    }

    /// The code of the only answer.
    async fn refused(mut self) -> String {
        let (name, answer) = self.next().await.unwrap();
        assert_eq!((name.as_str(), &answer["data"]), ("next", &Value::Null), "{answer}");
        assert_eq!(self.next().await.unwrap().0, "complete");
        assert_eq!(self.next().await, None);
        answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_happens_to_orders_is_told() {
    let (_bus, app) = relaying().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let mut client = Client::subscribe(&app, &ada, EVENTS, json!({})).await;
    assert_eq!(client.event().await["type"], "READY");
    let order = app.confirmed(&ada, &mug).await;
    let placed = client.event().await;
    assert_eq!((&placed["type"], &placed["order"]["id"]), (&json!("PLACED"), &json!(order)));
    let confirmed = client.event().await;
    assert_eq!((&confirmed["type"], &confirmed["order"]["status"]), (&json!("CONFIRMED"), &json!("CONFIRMED")));
    let mut again = Client::subscribe(&app, &ada, EVENTS, json!({ "after": placed["cursor"] })).await;
    assert_eq!(again.event().await["type"], "READY");
    assert_eq!(again.event().await, confirmed);
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_code() {
    let app = following(&memory().await).await;
    let ada = app.customer();
    for (document, code) in [
        ("nonsense", "INVALID_DOCUMENT"),
        ("subscription { nonsense }", "INVALID_DOCUMENT"),
        ("{ products { edges { cursor } } }", "INVALID_DOCUMENT"),
        ("subscription { orderEvents(userId: \"all\") { type } }", "OPERATOR_REQUIRED"),
        ("subscription { orderEvents(after: \"nonsense\") { type } }", "MALFORMED_PARAMETER"),
    ] {
        assert_eq!(Client::subscribe(&app, &ada, document, json!({})).await.refused().await, code, "{document}");
    }
    app.post(PATH).json(&json!({ "query": EVENTS })).send().await.problem(401);
    app.post(PATH).by(&ada).json(&json!([{ "query": EVENTS }])).send().await.problem(422);
    let elsewhere = app.graphql(Some(&ada), EVENTS, json!({})).await;
    assert_eq!(elsewhere.code(), "INVALID_DOCUMENT");
}

#[tokio::test]
async fn a_stream_lasts_as_long_as_its_token() {
    let app = following(&memory().await).await;
    let id = Uuid::new_v4();
    let person = Person { id, token: app.token(id, Role::Customer, 1) };
    let mut client = Client::subscribe(&app, &person, EVENTS, json!({})).await;
    client.event().await;
    assert_eq!(client.refused().await, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_stream_that_the_process_ends_is_not_complete() {
    let app = following(&memory().await).await;
    let mut client = Client::subscribe(&app, &app.customer(), EVENTS, json!({})).await;
    client.event().await;
    app.tasks.streams().cancel();
    assert_eq!(client.next().await, None, "a client that is told `complete` does not come back");
}
