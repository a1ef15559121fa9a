//! `POST /v1/orders/{id}/fulfil`, and its race against a cancel.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use proto::payment::v1::Status as Paid;
use testkit::{eventually, http::TestResponse};

use crate::app::{RequestExt as _, TestApp};

async fn fulfil(app: &TestApp, order: &str) -> TestResponse {
    app.post(&format!("/v1/orders/{order}/fulfil")).by(&app.operator()).send().await
}

#[tokio::test]
async fn fulfilling_takes_the_money_once() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    let response = fulfil(&app, &order).await;
    assert_eq!((response.status, response.text("status")), (StatusCode::OK, "fulfilled"));
    assert_eq!(response.body["payment"]["status"], "captured");
    assert_eq!(response.etag(), format!("\"{}\"", response.body["version"]));
    let again = fulfil(&app, &order).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, response.body));
    assert_eq!(app.payments.captures_and_refunds(), (1, 0));
    assert_eq!(app.events().await, ["order.placed.v1", "order.confirmed.v1", "order.fulfilled.v1"]);
    assert_eq!(app.available(&mug).await, 4);
}

#[tokio::test]
async fn only_what_is_confirmed_can_be_fulfilled() {
    let app = TestApp::with_short_wait().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 9).await);
    let rejected = app.order_by(&customer, "1", &mug, 1, "tok_declined").send().await.id();
    fulfil(&app, &rejected).await.problem(409);
    app.payments.fail("authorize", 100);
    let pending = app.order(&customer, "2", &mug, 1).send().await.id();
    fulfil(&app, &pending).await.problem(409);
    app.post(&format!("/v1/orders/{pending}/cancel")).by(&customer).send().await;
    eventually!(app.status(&pending).await == "cancelled");
    fulfil(&app, &pending).await.problem(409);
}

#[tokio::test]
async fn payment_that_is_down_is_waited_for() {
    let app = TestApp::with_short_wait().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.fail("capture", 100);
    let response = fulfil(&app, &order).await;
    assert_eq!(response.problem(503).header("retry-after"), "1");
    // On its way, and shown as it was.
    assert_eq!(app.status(&order).await, "confirmed");
    app.payments.fail("capture", 0);
    app.sweep_after(Duration::from_secs(3)).await;
    assert_eq!(app.status(&order).await, "fulfilled");
    assert_eq!(fulfil(&app, &order).await.status, StatusCode::OK);
    assert_eq!(app.payments.captures_and_refunds(), (1, 0));
}

#[tokio::test]
async fn a_cancel_after_the_fulfil_is_a_refund() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.hold("capture");
    let cancelling = async {
        eventually!(app.payments.calls("capture") == 1);
        let response = app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
        assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "refunding"));
        app.payments.resume("capture");
    };
    let (response, ()) = tokio::join!(fulfil(&app, &order), cancelling);
    assert_eq!(response.status, StatusCode::OK, "{response:?}");
    eventually!(app.status(&order).await == "refunded");
    assert_eq!((app.payments.captures_and_refunds(), app.payments.status(&order)), ((1, 1), Some(Paid::Refunded)));
    assert_eq!(app.available(&mug).await, 4, "the goods have left");
}

#[tokio::test]
async fn a_cancel_before_the_fulfil_makes_it_a_conflict() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.hold("void");
    app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    fulfil(&app, &order).await.problem(409);
    app.payments.resume("void");
    eventually!(app.status(&order).await == "cancelled");
    assert_eq!(app.payments.captures_and_refunds(), (0, 0));
}

#[tokio::test]
async fn whoever_wins_money_and_goods_agree() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 100).await);
    let race = async |_| {
        let order = app.confirmed(&customer, &mug).await;
        let path = format!("/v1/orders/{order}/cancel");
        let (sent, off) = tokio::join!(fulfil(&app, &order), app.post(&path).by(&customer).send());
        assert!(matches!(off.status.as_u16(), 200 | 202), "{off:?}");
        let wanted = if sent.status == StatusCode::OK { "refunded" } else { "cancelled" };
        assert!(matches!(sent.status.as_u16(), 200 | 409), "{sent:?}");
        eventually!(app.status(&order).await == wanted);
        wanted == "refunded"
    };
    let outcomes = join_all((0..24).map(race)).await;
    let refunded = outcomes.iter().filter(|refunded| **refunded).count();
    assert_eq!(app.payments.captures_and_refunds(), (refunded, refunded));
    assert_eq!(app.available(&mug).await, 100 - i64::try_from(refunded).unwrap());
}

#[tokio::test]
async fn goods_stay_when_the_money_is_gone() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.done_elsewhere(&order, Paid::Voided);
    fulfil(&app, &order).await.problem(409);
    eventually!(app.status(&order).await == "cancelled");
    assert_eq!(app.available(&mug).await, 5);
}

#[tokio::test]
async fn what_was_captured_elsewhere_is_given_back_when_the_order_is_cancelled() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.done_elsewhere(&order, Paid::Captured);
    app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    eventually!(app.status(&order).await == "refunded");
    assert_eq!(app.payments.status(&order), Some(Paid::Refunded));
    assert_eq!(app.payments.captures_and_refunds(), (0, 1));
    assert_eq!(app.available(&mug).await, 4, "what is refunded does not come back by itself");
}

#[tokio::test]
async fn a_void_that_is_refused_takes_no_money() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.refuse("void");
    app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    eventually!(app.payments.calls("refund") > 0);
    assert_eq!(app.status(&order).await, "cancelling");
    assert_eq!((app.payments.calls("capture"), app.payments.captures_and_refunds()), (0, (0, 0)));
}
