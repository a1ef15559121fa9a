//! How many may watch, and what becomes of those who take too little.

use futures::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{
    PATH,
    clients::{Events, Socket},
    event, following, memory, publish,
    sockets::Served,
};
use crate::app::RequestExt as _;

#[tokio::test]
async fn an_account_has_so_many_streams_and_all_have_so_many() {
    let app = following(&memory().await).await;
    let customer = app.customer();
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(Events::open(&app, &customer, PATH).await);
    }
    let refused = app.get(PATH).by(&customer).send().await;
    assert_eq!(refused.problem(429).header("retry-after"), "1");
    for _ in 0..4 {
        let other = app.customer();
        for _ in 0..8 {
            open.push(Events::open(&app, &other, PATH).await);
        }
    }
    app.get(PATH).by(&app.customer()).send().await.problem(503);
    open.pop();
    let response = Events::request(&app, &app.customer(), PATH, None).await;
    assert_eq!(response.status(), StatusCode::OK, "one has gone");
}

/// Who does not read is let go and told so; meanwhile the others are told everything, and afterwards it resumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_hurts_nobody() {
    let bus = memory().await;
    let app = following(&bus).await;
    let served = Served::start(&app).await;
    let customer = app.customer();
    let mut slow = Socket::open(served.address, &customer, PATH).await;
    let mut quick = Socket::open(served.address, &customer, PATH).await;
    let mut events = Events::open(&app, &customer, PATH).await;
    assert_eq!(slow.next().await.unwrap()["type"], "stream.ready");
    quick.next().await.unwrap();
    let padding = "x".repeat(16_000);
    let publishing = async {
        for number in 0..1_500 {
            let mut event = event(customer.id, number);
            let mut data: Value = event.decode().unwrap();
            data["padding"] = json!(padding);
            event.data = data.to_string().into();
            bus.publish(&[event]).await.unwrap();
        }
    };
    let reading = async {
        for number in 0..1_500 {
            assert_eq!(quick.next().await.unwrap()["data"]["number"], number);
        }
    };
    let listening = async {
        for number in 0..1_500 {
            assert_eq!(events.next().await.number(), number);
        }
    };
    tokio::join!(publishing, reading, listening);
    let (mut told, mut cursor) = (0, String::new());
    // Where it took longer than 10 s to take one message, the connection is cut: nobody reads why.
    while let Some(Ok(frame)) = slow.0.next().await {
        match frame {
            Message::Text(text) => {
                let document: Value = serde_json::from_str(&text).unwrap();
                if document["type"] != "stream.heartbeat" {
                    assert_eq!(document["data"]["number"], told, "no gap");
                    told += 1;
                    document["cursor"].as_str().unwrap().clone_into(&mut cursor);
                }
            }
            Message::Close(frame) => assert_eq!(u16::from(frame.unwrap().code), 4429),
            _ => {}
        }
    }
    assert!(told < 1_500, "it was told everything");
    let mut again = Socket::open(served.address, &customer, &format!("{PATH}?last_event_id={cursor}")).await;
    // What is kept is bounded by its bytes, too: it may have to begin anew.
    assert_eq!(again.next().await.unwrap()["type"], "stream.reset");
    publish(&bus, customer.id, 1_500..1_501).await;
    assert_eq!(again.next().await.unwrap()["data"]["number"], 1_500);
}
