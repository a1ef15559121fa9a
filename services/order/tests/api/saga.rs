//! Orders that nobody carried on, and what the sweeper does for them.

use std::{sync::Arc, time::Duration};

use proto::payment::v1::Status as Paid;
use testkit::eventually;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::app::{RequestExt as _, TestApp};

const SOON: Duration = Duration::from_secs(10);

async fn pending(app: &TestApp, key: &str, mug: &str) -> String {
    app.payments.fail("authorize", 100);
    let response = app.order(&app.customer(), key, mug, 1).send().await;
    assert_eq!(response.text("status"), "pending");
    app.payments.fail("authorize", 0);
    response.id()
}

/// Lets so much time pass in which payment does not authorize, however often it is asked.
async fn waits(app: &TestApp, time: Duration) {
    app.payments.fail("authorize", usize::MAX);
    for _ in 0..64 {
        app.sweep_after(time / 64).await;
    }
}

#[tokio::test]
async fn the_sweeper_carries_on() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, "k", &mug).await;
    app.sweep_after(SOON).await;
    assert_eq!(app.status(&order).await, "confirmed");
    assert_eq!(app.events().await, ["order.placed.v1", "order.confirmed.v1"]);
}

#[tokio::test]
async fn an_order_that_cannot_be_read_holds_up_no_other() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let spoiled = pending(&app, "a", &mug).await;
    let order = pending(&app, "b", &mug).await;
    app.spoil(&spoiled).await;
    app.sweep_after(SOON).await;
    assert_eq!(app.status(&order).await, "confirmed");
}

#[tokio::test]
async fn an_order_whose_request_still_waits_is_left_to_it() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    pending(&app, "k", &mug).await;
    let calls = app.payments.calls("authorize");
    app.sweep_after(Duration::from_secs(1)).await;
    assert_eq!(app.payments.calls("authorize"), calls);
}

#[tokio::test]
async fn what_fails_is_postponed() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, "k", &mug).await;
    app.payments.fail("authorize", 1);
    app.sweep_after(SOON).await;
    let calls = app.payments.calls("authorize");
    app.sweep_after(Duration::from_millis(500)).await;
    assert_eq!(app.payments.calls("authorize"), calls);
    app.sweep_after(Duration::from_millis(600)).await;
    assert_eq!((app.payments.calls("authorize"), app.status(&order).await.as_str()), (calls + 1, "confirmed"));
}

#[tokio::test]
async fn what_payment_never_answers_is_voided_then_rejected() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, "k", &mug).await;
    app.payments.fail("void", 1);
    waits(&app, Duration::from_secs(899)).await;
    assert_eq!(app.status(&order).await, "pending");
    // It is abandoned, but the void has not been answered: it still might be paid.
    app.sweep_after(SOON).await;
    assert_eq!((app.status(&order).await.as_str(), app.available(&mug).await), ("pending", 4));
    app.sweep_after(SOON).await;
    let response = app.get(&format!("/v1/orders/{order}")).by(&app.operator()).send().await;
    assert_eq!((response.text("status"), response.text("reason")), ("rejected", "payment_unavailable"));
    assert_eq!(app.available(&mug).await, 5);
}

#[tokio::test]
async fn a_late_authorization_of_an_abandoned_order_is_voided() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    app.payments.hold("authorize");
    let order = app.order(&app.customer(), "k", &mug, 1).send().await.id();
    app.payments.resume("authorize");
    // Held now at payment, or not at all: either way nothing may stay held.
    waits(&app, Duration::from_mins(16)).await;
    eventually!(app.status(&order).await == "rejected");
    assert_ne!(app.payments.status(&order), Some(Paid::Authorized));
}

#[tokio::test]
async fn a_cancel_that_payment_did_not_hear_is_repeated() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.fail("void", 1);
    app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    eventually!(app.payments.calls("void") == 1);
    eventually!({
        app.sweep_after(SOON).await;
        app.status(&order).await == "cancelled"
    });
}

#[tokio::test]
async fn many_due_orders_are_all_found() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 500).await;
    app.payments.fail("authorize", usize::MAX);
    let place = async |n: i32| {
        let response = app.order(&app.customer(), &n.to_string(), &mug, 1).send().await;
        assert_eq!(response.text("status"), "pending");
    };
    futures::future::join_all((0..120).map(place)).await;
    app.payments.fail("authorize", 0);
    app.sweep_after(SOON).await;
    app.sweep_after(SOON).await;
    let audit = app.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(audit.body["orders"], serde_json::json!({ "confirmed": 120 }));
    assert_eq!(audit.body["unsettled"], 0);
}

#[tokio::test]
async fn the_sweeper_keeps_the_canary_mark_of_the_placing_and_not_its_trace() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    app.payments.fail("authorize", 100);
    let request = app.order(&app.customer(), "k", &mug, 1).header("x-canary", "true");
    request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")).send().await;
    app.payments.fail("authorize", 0);
    let calls = app.payments.calls("authorize");
    app.sweep_after(SOON).await;
    assert_eq!(app.payments.calls("authorize"), calls + 1, "what follows is about the sweeper's call");
    let metadata = app.payments.metadata("authorize").unwrap();
    assert_eq!(metadata.get("x-canary").unwrap(), "true");
    // A trace of its own, which is linked: `what_is_done_later_is_linked_to_its_cause` of the end-to-end tests.
    assert!(metadata.get("traceparent").is_none_or(|parent| !parent.to_str().unwrap().contains(trace)));
}

/// A sweep that has much to do does not hold up the gauge that says so.
#[tokio::test(flavor = "multi_thread")]
async fn sagas_are_counted_beside_a_backlog() {
    let config = telemetry::Config { log: "off".to_owned(), format: telemetry::Format::Json, recent_spans: 0 };
    let guard = telemetry::init(&config, "test", "0").unwrap();
    let pending = || {
        let shown = telemetry::prometheus_text();
        let line = shown.lines().find(|line| line.starts_with("order_sagas_open{order_status=\"pending\""))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 50).await;
    app.payments.hold("authorize");
    let place = async |n: i32| {
        let response = app.order(&app.customer(), &n.to_string(), &mug, 1).send().await;
        assert_eq!(response.text("status"), "pending");
    };
    // Each takes the sweeper 5 s, and it advances 8 at a time.
    futures::future::join_all((0..24).map(place)).await;
    app.clock.advance(SOON);
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let memory = Arc::new(lock::Memory::new(clock::system()));
    let locks = lock::Locks::new(memory, tracker.clone(), lock::Policy::default());
    tracker.spawn(order::app::sweep::run(app.use_cases.clone(), locks, stop.clone()));
    eventually!(pending() == Some(24.0));
    place(24).await;
    eventually!(within Duration::from_secs(13), pending() == Some(25.0));
    stop.cancel();
    guard.shutdown(Duration::from_secs(1)).await;
}
