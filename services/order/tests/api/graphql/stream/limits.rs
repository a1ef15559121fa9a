//! How many streams there are, and what becomes of who takes too little or says nothing.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{super::hostile::many, Client, EVENTS, PATH};
use crate::{
    app::RequestExt as _,
    stream::{clients::Events, following, memory, publish, sockets::Served},
};

#[tokio::test]
async fn a_socket_is_one_of_the_accounts_streams_with_a_few_operations() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let ada = app.customer();
    let mut clients = Vec::new();
    for _ in 0..7 {
        clients.push(Client::open(&served, &ada).await);
    }
    let events = Events::open(&app, &ada, "/v1/orders/stream").await;
    let mut refused = Client::connect(served.address).await;
    refused.init(&ada.token).await;
    assert_eq!(refused.next().await, Err(4429));
    app.post(PATH).by(&ada).json(&json!({ "query": EVENTS })).send().await.problem(429);
    drop(events);
    testkit::eventually!(app.get("/v1/orders/stream?user_id=x").by(&ada).send().await.status.as_u16() == 403);
    let client = &mut clients[0];
    for n in 0..8 {
        client.subscribe(&n.to_string(), EVENTS, json!({})).await;
        client.event(&n.to_string()).await;
    }
    client.subscribe("8", EVENTS, json!({})).await;
    assert_eq!(client.error("8").await, "TOO_MANY_STREAMS");
    client.say(&json!({ "type": "complete", "id": "0" })).await;
    client.subscribe("8", EVENTS, json!({})).await;
    client.event("8").await;
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_let_go() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let mut client = Client::connect(served.address).await;
    assert_eq!(client.next().await, Err(4408));
}

#[tokio::test]
async fn who_says_too_much_is_let_go() {
    let app = following(&memory().await).await;
    let served = Served::start(&app).await;
    let mut client = Client::open(&served, &app.customer()).await;
    for _ in 0..250 {
        client.say(&json!({ "type": "pong" })).await;
    }
    assert_eq!(client.next().await, Err(1008));
}

/// Who does not read is told that there was more than it has taken, and goes on after its cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_so() {
    const COUNT: u64 = 9_000;
    let bus = memory().await;
    let app = following(&bus).await;
    let served = Served::start(&app).await;
    let ada = app.customer();
    let mut slow = Client::open(&served, &ada).await;
    // An answer is some kilobytes, so that not all of them fit on their way.
    let fields = many(29, |n| format!("a{n}: cursor "));
    let document = format!("subscription {{ orderEvents {{ type cursor {fields} }} }}");
    slow.subscribe("1", &document, json!({})).await;
    let mut cursor = slow.event("1").await["cursor"].clone();
    // Whoever reads has had the last event, or is told so itself: then all of them are there for the slow one, too.
    let mut quick = Client::open(&served, &ada).await;
    quick.subscribe("1", "subscription { orderEvents { type } }", json!({})).await;
    let reading = async {
        for _ in 0..=COUNT {
            if quick.next().await.unwrap()["type"] != "next" {
                break;
            }
        }
    };
    let ((), read) = tokio::join!(publish(&bus, ada.id, 0..COUNT), timeout(Duration::from_mins(2), reading));
    read.unwrap();
    let code = loop {
        let next = timeout(Duration::from_secs(30), slow.next()).await.expect("it is told").unwrap();
        match next["type"].as_str().unwrap() {
            "next" => cursor = next["payload"]["data"]["orderEvents"]["cursor"].clone(),
            _ => break next["payload"][0]["extensions"]["code"].clone(),
        }
    };
    assert_eq!(code, "STREAM_BEHIND");
    slow.subscribe(
        "1",
        "subscription($after: String) { orderEvents(after: $after) { type } }",
        json!({ "after": cursor }),
    )
    .await;
    assert!(["READY", "RESET"].contains(&slow.event("1").await["type"].as_str().unwrap()));
}
