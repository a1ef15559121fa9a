//! `graphql-transport-ws`.

use auth::Role;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;
use uuid::Uuid;

use super::{Client, EVENTS, PATH, relaying};
use crate::{
    app::{ORIGIN, Person, RequestExt as _},
    stream::{clients::Socket, following, memory, sockets::Served},
};

#[tokio::test]
async fn what_happens_to_orders_is_told() {
    let (_bus, app) = relaying().await;
    let served = Served::start(&app).await;
    let (ada, bob, operator) = (app.customer(), app.customer(), app.operator());
    let mug = app.product("mug", 100, 99).await;
    let (mut of_ada, mut of_all) = (Client::open(&served, &ada).await, Client::open(&served, &operator).await);
    of_ada.subscribe("1", EVENTS, json!({})).await;
    of_all.subscribe("all", EVENTS, json!({ "of": "all" })).await;
    of_all
        .subscribe("bob", "subscription($of: String) { orderEvents(userId: $of) { type } }", json!({ "of": bob.id }))
        .await;
    let ready = of_ada.event("1").await;
    assert_eq!((&ready["type"], &ready["order"]), (&json!("READY"), &Value::Null));
    of_all.event("all").await;
    of_all.event("bob").await;
    let order = app.confirmed(&ada, &mug).await;
    app.post(&format!("/v1/orders/{order}/cancel")).by(&ada).send().await;
    for kind in ["PLACED", "CONFIRMED", "CANCELLED"] {
        let (own, all) = (of_ada.event("1").await, of_all.event("all").await);
        // The orders are as they are when they are told.
        assert_eq!((&own["type"], &own["cursor"]), (&all["type"], &all["cursor"]));
        assert_eq!(
            (&own["type"], &own["order"]["id"], &own["order"]["customer"]["id"]),
            (&json!(kind), &json!(order), &json!(ada.id))
        );
    }
    // One customer's are not another's, and what is told next is all that was to be told.
    app.confirmed(&bob, &mug).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(of_all.next().await.unwrap()["id"].as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, ["all", "all", "bob", "bob"]);
    of_ada.say(&json!({ "type": "ping" })).await;
    assert_eq!(of_ada.next().await.unwrap()["type"], "pong");
}

#[tokio::test]
async fn a_subscription_goes_on_after_a_cursor() {
    let (_bus, app) = relaying().await;
    let served = Served::start(&app).await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let mut client = Client::open(&served, &ada).await;
    client.subscribe("1", EVENTS, json!({})).await;
    client.event("1").await;
    let order = app.confirmed(&ada, &mug).await;
    let placed = client.event("1").await;
    client.say(&json!({ "type": "complete", "id": "1" })).await;
    // The same name may be used again.
    client.subscribe("1", EVENTS, json!({ "after": placed["cursor"] })).await;
    let mut event = client.event("1").await;
    if event["type"] == "CONFIRMED" {
        // It was on its way before the first was given up.
        event = client.event("1").await;
    }
    assert_eq!((&event["type"], &event["cursor"]), (&json!("READY"), &placed["cursor"]));
    let confirmed = client.event("1").await;
    assert_eq!((&confirmed["type"], &confirmed["order"]["id"]), (&json!("CONFIRMED"), &json!(order)));
    client.subscribe("2", EVENTS, json!({ "after": "nonsense" })).await;
    assert_eq!(client.error("2").await, "MALFORMED_PARAMETER");
}

#[tokio::test]
async fn who_speaks_otherwise_is_told_so() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let ada = app.customer();
    for (said, code) in [
        (json!("hello"), 4400),
        (json!({ "type": "start", "id": "1", "payload": { "query": EVENTS } }), 4400),
        (json!({ "type": "subscribe", "id": "1", "payload": { "query": EVENTS } }), 4401),
        (json!({ "type": "connection_init" }), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": "Bearer nonsense" } }), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": 1 } }), 4403),
    ] {
        let mut client = Client::connect(served.address).await;
        client.say(&said).await;
        assert_eq!(client.next().await, Err(code), "{said}");
    }
    for (said, code) in [
        (json!({ "type": "connection_init", "payload": { "authorization": ada.token } }), 4429),
        (json!({ "type": "subscribe", "id": "1", "payload": { "query": EVENTS } }), 4409),
        (json!({ "type": "subscribe", "id": "1" }), 4400),
        (json!("x".repeat(33 * 1024)), 1009),
    ] {
        let mut client = Client::open(&served, &ada).await;
        client.subscribe("1", EVENTS, json!({})).await;
        client.event("1").await;
        client.say(&said).await;
        assert_eq!(client.next().await, Err(code), "{said}");
    }
    testkit::eventually!(app.tasks.tracker().is_empty());
}

#[tokio::test]
async fn an_operation_that_cannot_be_executed_ends_and_no_other() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let ada = app.customer();
    let mut client = Client::open(&served, &ada).await;
    client.subscribe("good", EVENTS, json!({})).await;
    client.event("good").await;
    for (document, code) in [
        ("nonsense", "INVALID_DOCUMENT"),
        ("subscription { nonsense }", "INVALID_DOCUMENT"),
        ("subscription { orderEvents { type } more: orderEvents { type } }", "INVALID_DOCUMENT"),
        ("{ products { edges { cursor } } }", "INVALID_DOCUMENT"),
        ("subscription { orderEvents(userId: \"all\") { type } }", "OPERATOR_REQUIRED"),
    ] {
        client.subscribe("bad", document, json!({})).await;
        assert_eq!(client.error("bad").await, code, "{document}");
    }
    client.subscribe("good", EVENTS, json!({})).await;
    assert_eq!(client.next().await, Err(4409), "it was open all the time");
}

#[tokio::test]
async fn a_socket_is_opened_by_whose_page_may_and_who_knows_the_protocol() {
    let app = following(&memory().await).await;
    let address = Served::start(&app).await.address;
    let status = async |headers: &[(&'static str, String)]| match Socket::connect(address, PATH, headers).await {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        other => other.map(|_| 101).unwrap(),
    };
    let protocol = |name: &str| ("sec-websocket-protocol", name.to_owned());
    let origin = |name: &str| ("origin", name.to_owned());
    let ours = protocol("graphql-transport-ws");
    assert_eq!(status(&[]).await, 400);
    assert_eq!(status(&[protocol("graphql-ws")]).await, 400);
    assert_eq!(status(&[ours.clone(), origin("https://evil.example")]).await, 403);
    assert_eq!(status(&[ours.clone(), origin(ORIGIN)]).await, 101);
    app.get(PATH).send().await.problem(400);
    // Who is no browser may show its token with the request.
    let ada = app.customer();
    let headers = [ours, ("authorization", format!("Bearer {}", ada.token))];
    let mut client = Client(Socket::connect(address, PATH, &headers).await.unwrap());
    client.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(client.next().await.unwrap()["type"], "connection_ack");
}

#[tokio::test]
async fn a_socket_lasts_as_long_as_its_token() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let id = Uuid::new_v4();
    let mut client = Client::open(&served, &Person { id, token: app.token(id, Role::Customer, 1) }).await;
    client.subscribe("1", EVENTS, json!({})).await;
    client.event("1").await;
    assert_eq!(client.next().await, Err(4403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_told_that_the_process_ends() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let mut client = Client::open(&served, &app.customer()).await;
    let mut silent = Client::connect(served.address).await;
    client.subscribe("1", EVENTS, json!({})).await;
    client.event("1").await;
    served.stop.cancel();
    assert_eq!((client.next().await, silent.next().await), (Err(1001), Err(1001)));
    served.end.await.unwrap().unwrap();
}
