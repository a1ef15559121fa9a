//! Live events: who is told what, and how a stream is opened, resumed and ended.

pub(crate) mod clients;
mod killed;
mod limits;
mod process;
mod replicas;
pub(crate) mod sockets;

use std::sync::Arc;

use http::StatusCode;
use messaging::{Bus, Event, Relay};
use serde_json::json;
use uuid::Uuid;

use self::clients::Events;
use crate::app::{Person, RequestExt as _, TestApp};

/// A bus of this process.
pub(crate) async fn memory() -> Arc<dyn Bus> {
    Arc::new(sqlite::Bus::open("sqlite::memory:", clock::system()).await.unwrap())
}

/// Something that happened to an order of somebody, with a number.
fn event(user: Uuid, number: u64) -> Event {
    let (order, now) = (Uuid::new_v4(), clock::system().now());
    let data = json!({ "order_id": order, "user_id": user, "version": 1, "number": number });
    Event::new("order.confirmed.v1", "order", order, now, data).unwrap()
}

pub(crate) async fn publish(bus: &Arc<dyn Bus>, user: Uuid, numbers: std::ops::Range<u64>) {
    // Many at once: whoever reads nothing meanwhile is waited for only so long.
    let events: Vec<Event> = numbers.map(|number| event(user, number)).collect();
    for some in events.chunks(100) {
        bus.publish(some).await.unwrap();
    }
}

/// A service that has reached its bus.
pub(crate) async fn following(bus: &Arc<dyn Bus>) -> TestApp {
    let app = TestApp::start().await;
    app.follow(Arc::clone(bus));
    let somebody = app.customer();
    testkit::eventually!(app.request(http::Method::HEAD, PATH).by(&somebody).send().await.status == StatusCode::OK);
    app
}

const PATH: &str = "/v1/orders/stream";

#[tokio::test]
async fn each_is_told_of_their_own_orders_and_an_operator_of_all() {
    let bus = memory().await;
    let app = following(&bus).await;
    let relay = Relay::new(Arc::new(app.outbox.clone()), Arc::clone(&bus));
    let relaying = tokio_util::task::TaskTracker::new();
    relaying.spawn(relay.run(tokio_util::sync::CancellationToken::new()));
    let (ada, bob, operator) = (app.customer(), app.customer(), app.operator());
    let mug = app.product("mug", 100, 9).await;
    let mut of_ada = Events::open(&app, &ada, PATH).await;
    let mut of_all = Events::open(&app, &operator, &format!("{PATH}?user_id=all")).await;
    let mut of_bob = Events::open(&app, &operator, &format!("{PATH}?user_id={}", bob.id)).await;
    let mut of_operator = Events::open(&app, &operator, PATH).await;
    let (of_a, of_b) = (app.confirmed(&ada, &mug).await, app.confirmed(&bob, &mug).await);
    for (events, orders) in [(&mut of_ada, vec![&of_a]), (&mut of_bob, vec![&of_b]), (&mut of_all, vec![&of_a, &of_b])]
    {
        for order in orders {
            for (kind, version) in [("order.placed.v1", 1), ("order.confirmed.v1", 2)] {
                let told = events.next().await;
                assert_eq!((told.kind.as_str(), told.document["subject"].as_str().unwrap()), (kind, order.as_str()));
                assert_eq!((&told.document["type"], &told.document["specversion"]), (&json!(kind), &json!("1.0")));
                let data = &told.document["data"];
                assert_eq!((&data["order_id"], &data["version"]), (&json!(order), &json!(version)));
                assert_eq!(told.document["cursor"], told.id);
            }
        }
        events.quiet().await;
    }
    of_operator.quiet().await;
}

#[tokio::test]
async fn others_are_refused() {
    let app = following(&memory().await).await;
    let (customer, operator) = (app.customer(), app.operator());
    app.get(PATH).send().await.problem(401);
    app.get(PATH).bearer("nonsense").send().await.problem(401);
    app.get(&format!("{PATH}?user_id=all")).by(&customer).send().await.problem(403);
    app.get(&format!("{PATH}?user_id={}", operator.id)).by(&customer).send().await.problem(403);
    for query in ["user_id=x", "last_event_id=x", "last_event_id=", "since=1"] {
        app.get(&format!("{PATH}?{query}")).by(&operator).send().await.problem(400);
    }
    app.get(PATH).by(&customer).header("last-event-id", "x").send().await.problem(400);
}

#[tokio::test]
async fn without_a_bus_there_is_nothing_to_watch() {
    let app = TestApp::start().await;
    let response = app.get(PATH).by(&app.customer()).send().await;
    assert_eq!(response.problem(503).header("retry-after"), "1");
}

#[tokio::test]
async fn a_ticket_opens_one_stream() {
    let bus = memory().await;
    let app = following(&bus).await;
    let customer = app.customer();
    app.post("/v1/orders/stream/tickets").send().await.problem(401);
    let issued = app.post("/v1/orders/stream/tickets").by(&customer).send().await;
    assert_eq!((issued.status, issued.header("cache-control")), (StatusCode::CREATED, "no-store"));
    assert_eq!(issued.body["expires_in"], 30);
    let path = format!("{PATH}?ticket={}", issued.text("ticket"));
    let nobody = Person { id: customer.id, token: String::new() };
    let mut events = Events::open(&app, &nobody, &path).await;
    publish(&bus, customer.id, 1..2).await;
    assert_eq!(events.next().await.number(), 1);
    app.get(&path).send().await.problem(401);
    app.get(&format!("{PATH}?ticket=x")).send().await.problem(401);
}

#[tokio::test]
async fn what_is_sent_is_an_event_stream_that_nobody_keeps() {
    let app = following(&memory().await).await;
    let response = Events::request(&app, &app.customer(), PATH, None).await;
    let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!((header("cache-control"), header("x-accel-buffering")), ("no-store".to_owned(), "no".to_owned()));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let app = following(&memory().await).await;
    let id = Uuid::new_v4();
    let customer = Person { id, token: app.token(id, auth::Role::Customer, 1) };
    let mut events = Events::open(&app, &customer, PATH).await;
    let last = events.next().await;
    assert_eq!((last.kind.as_str(), &last.document["code"]), ("stream.closed", &json!(4401)));
    assert!(events.ended().await);
}
