//! Orders that nobody carried on, and what the sweeper does for them.

use std::time::Duration;

use proto::payment::v1::Status as Paid;
use testkit::eventually;

use crate::app::{RequestExt as _, TestApp};

const SOON: Duration = Duration::from_secs(10);

async fn pending(app: &TestApp, key: &str, mug: &str) -> String {
    app.payments.fail("authorize", 100);
    let response = app.order(&app.customer(), key, mug, 1).send().await;
    assert_eq!(response.text("status"), "pending");
    app.payments.fail("authorize", 0);
    response.id()
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
    app.payments.fail("authorize", 100);
    app.payments.fail("void", 1);
    app.sweep_after(Duration::from_secs(899)).await;
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
    app.sweep_after(Duration::from_secs(901)).await;
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
