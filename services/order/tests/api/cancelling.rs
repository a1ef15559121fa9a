//! `POST /v1/orders/{id}/cancel`.

use futures::future::join_all;
use http::StatusCode;
use proto::payment::v1::Status as Paid;
use testkit::{eventually, http::TestResponse};

use crate::app::{Person, RequestExt as _, TestApp};

async fn cancel(app: &TestApp, person: &Person, order: &str) -> TestResponse {
    app.post(&format!("/v1/orders/{order}/cancel")).by(person).send().await
}

#[tokio::test]
async fn a_confirmed_order_is_voided_and_gives_its_stock_back() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.hold("void");
    let response = cancel(&app, &customer, &order).await;
    assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "cancelling"));
    assert_eq!(response.text("reason"), "cancelled_by_customer");
    assert_eq!(response.etag(), format!("\"{}\"", response.body["version"]));
    let again = cancel(&app, &customer, &order).await;
    assert_eq!((again.status, again.body), (StatusCode::ACCEPTED, response.body));
    assert_eq!(app.available(&mug).await, 4);
    app.payments.resume("void");
    eventually!(app.status(&order).await == "cancelled");
    assert_eq!((app.payments.status(&order), app.available(&mug).await), (Some(Paid::Voided), 5));
    let done = cancel(&app, &customer, &order).await;
    assert_eq!((done.status, done.text("status")), (StatusCode::OK, "cancelled"));
    assert_eq!(done.body["payment"]["status"], "voided");
    assert_eq!(app.events().await, ["order.placed.v1", "order.confirmed.v1", "order.cancelled.v1"]);
}

#[tokio::test]
async fn a_fulfilled_order_is_refunded_and_keeps_its_stock() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    let sent = app.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await;
    assert_eq!(sent.text("status"), "fulfilled");
    app.payments.hold("refund");
    let response = cancel(&app, &operator, &order).await;
    assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "refunding"));
    assert_eq!(response.text("reason"), "cancelled_by_operator");
    assert_eq!(cancel(&app, &operator, &order).await.status, StatusCode::ACCEPTED);
    app.payments.resume("refund");
    eventually!(app.status(&order).await == "refunded");
    assert_eq!((app.payments.captures_and_refunds(), app.available(&mug).await), ((1, 1), 4));
    let done = cancel(&app, &customer, &order).await;
    assert_eq!((done.status, done.text("status")), (StatusCode::OK, "refunded"));
    assert_eq!(app.events().await.last().unwrap(), "order.refunded.v1");
}

#[tokio::test]
async fn a_pending_order_never_gets_a_payment() {
    let app = TestApp::with_short_wait().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.fail("authorize", 100);
    let order = app.order(&customer, "k", &mug, 1).send().await.id();
    let response = cancel(&app, &customer, &order).await;
    assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "cancelling"));
    eventually!(app.status(&order).await == "cancelled");
    assert_eq!((app.payments.status(&order), app.available(&mug).await), (None, 5));
    // A retry of the placing finds it as it is.
    let again = app.order(&customer, "k", &mug, 1).send().await;
    assert_eq!((again.status, again.text("status")), (StatusCode::OK, "cancelled"));
}

#[tokio::test]
async fn a_cancel_beats_an_authorization_in_progress() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.hold("authorize");
    let cancelling = async {
        eventually!(app.payments.calls("authorize") == 1);
        let list = app.get("/v1/orders").by(&customer).send().await;
        let order = list.body["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(cancel(&app, &customer, &order).await.status, StatusCode::ACCEPTED);
        eventually!(app.status(&order).await == "cancelled");
        app.payments.resume("authorize");
        order
    };
    let (order, placed) = tokio::join!(cancelling, app.order(&customer, "k", &mug, 1).send());
    assert_eq!((placed.id(), placed.text("status")), (order.clone(), "cancelled"));
    assert_ne!(app.payments.status(&order), Some(Paid::Authorized));
    assert_eq!(app.available(&mug).await, 5);
}

#[tokio::test]
async fn a_rejected_order_cannot_be_cancelled() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.order_by(&customer, "k", &mug, 1, "tok_declined").send().await.id();
    cancel(&app, &customer, &order).await.problem(409);
}

#[tokio::test]
async fn only_the_owner_and_operators_may_cancel() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    cancel(&app, &app.customer(), &order).await.problem(404);
    assert_eq!(app.status(&order).await, "confirmed");
    assert_eq!(cancel(&app, &app.operator(), &order).await.text("reason"), "cancelled_by_operator");
}

#[tokio::test]
async fn many_cancels_are_one() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    let responses = join_all((0..12).map(|_| cancel(&app, &customer, &order))).await;
    assert!(responses.iter().all(|response| matches!(response.status.as_u16(), 200 | 202)), "{responses:?}");
    eventually!(app.status(&order).await == "cancelled");
    assert_eq!(app.available(&mug).await, 5);
    assert_eq!(app.events().await.iter().filter(|kind| *kind == "order.cancelled.v1").count(), 1);
}
