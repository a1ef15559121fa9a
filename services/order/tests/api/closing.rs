//! Closing an account: the internal route, the event, and what it means for everybody else.

use auth::Role;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::{eventually, http::TestResponse};
use uuid::Uuid;

use crate::app::{Person, RequestExt as _, TestApp};

async fn close(app: &TestApp, person: &Person) -> TestResponse {
    let path = format!("/internal/v1/accounts/{}/closing", person.id);
    app.request(Method::PUT, &path).by_service("user").send().await
}

#[tokio::test]
async fn open_orders_are_cancelled_and_fulfilled_ones_stay() {
    let app = TestApp::with_short_wait().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 1450, 9).await);
    let fulfilled = app.confirmed(&customer, &mug).await;
    app.post(&format!("/v1/orders/{fulfilled}/fulfil")).by(&operator).send().await;
    let confirmed = app.confirmed(&customer, &mug).await;
    let rejected = app.order_by(&customer, "r", &mug, 1, "tok_declined").send().await.id();
    app.payments.fail("authorize", 100);
    let pending = app.order(&customer, "p", &mug, 1).send().await.id();
    let others = app.customer();
    app.payments.fail("authorize", 0);
    let other = app.confirmed(&others, &mug).await;
    app.payments.hold("void");
    let response = close(&app, &customer).await;
    assert_eq!((response.status, response.body), (StatusCode::OK, json!({ "open_orders": 2 })));
    assert_eq!(close(&app, &customer).await.body, json!({ "open_orders": 2 }));
    app.payments.resume("void");
    eventually!(close(&app, &customer).await.body == json!({ "open_orders": 0 }));
    for (order, status) in
        [(&fulfilled, "fulfilled"), (&confirmed, "cancelled"), (&rejected, "rejected"), (&pending, "cancelled")]
    {
        assert_eq!(app.status(order).await, status);
    }
    let response = app.get(&format!("/v1/orders/{confirmed}")).by(&operator).send().await;
    assert_eq!(response.text("reason"), "account_closed");
    assert_eq!(app.status(&other).await, "confirmed");
    assert_eq!(app.available(&mug).await, 7);
}

/// The account stays open for the order that cannot be read; the others are cancelled.
#[tokio::test]
async fn an_order_that_cannot_be_read_holds_up_no_other() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 9).await);
    let mut orders = Vec::new();
    for _ in 0..3 {
        orders.push(app.confirmed(&customer, &mug).await);
    }
    app.spoil(&orders[1]).await;
    close(&app, &customer).await.problem(500);
    for order in [&orders[0], &orders[2]] {
        eventually!(app.status(order).await == "cancelled");
    }
}

#[tokio::test]
async fn a_closing_account_may_only_read() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 9).await);
    let placed = app.order(&customer, "k", &mug, 1).send().await;
    close(&app, &customer).await;
    app.order(&customer, "k", &mug, 1).send().await.problem(403);
    app.order(&customer, "l", &mug, 1).send().await.problem(403);
    // Before anything else of the request is checked.
    app.post("/v1/orders").by(&customer).send().await.problem(403);
    app.post(&format!("/v1/orders/{}/cancel", placed.id())).by(&customer).send().await.problem(403);
    app.post(&format!("/v1/orders/{}/cancel", Uuid::new_v4())).by(&customer).send().await.problem(403);
    app.post("/v1/orders/nonsense/cancel").by(&customer).send().await.problem(403);
    let read = app.get(&format!("/v1/orders/{}", placed.id())).by(&customer).send().await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(app.get("/v1/orders").by(&customer).send().await.status, StatusCode::OK);
    assert_eq!(app.order(&app.customer(), "k", &mug, 1).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_order_placed_at_the_same_time_is_refused_or_cancelled() {
    let app = TestApp::start().await;
    let mug = app.product("mug", 1450, 99).await;
    let race = async |n: i32| {
        let customer = app.customer();
        let (placed, closed) =
            tokio::join!(app.order(&customer, &n.to_string(), &mug, 1).send(), close(&app, &customer));
        assert_eq!(closed.status, StatusCode::OK);
        if placed.status == StatusCode::FORBIDDEN {
            return;
        }
        eventually!(app.status(&placed.id()).await == "cancelled");
    };
    futures::future::join_all((0..16).map(race)).await;
    assert_eq!(app.available(&mug).await, 99);
}

/// The operator fulfils while the account is closed: what leaves is paid for, whatever does not leave costs nothing.
#[tokio::test]
async fn what_is_fulfilled_meanwhile_is_not_refunded() {
    let app = TestApp::start().await;
    let (operator, mug) = (app.operator(), app.product("mug", 1450, 99).await);
    let race = async |_| {
        let customer = app.customer();
        let order = app.confirmed(&customer, &mug).await;
        let path = format!("/v1/orders/{order}/fulfil");
        let (sent, closed) = tokio::join!(app.post(&path).by(&operator).send(), close(&app, &customer));
        assert_eq!(closed.status, StatusCode::OK);
        assert!(matches!(sent.status.as_u16(), 200 | 409), "{sent:?}");
        let wanted = if sent.status == StatusCode::OK { "fulfilled" } else { "cancelled" };
        eventually!(close(&app, &customer).await.body == json!({ "open_orders": 0 }));
        assert_eq!(app.status(&order).await, wanted);
        wanted == "fulfilled"
    };
    let outcomes = futures::future::join_all((0..24).map(race)).await;
    let fulfilled = outcomes.iter().filter(|fulfilled| **fulfilled).count();
    assert_eq!(app.payments.captures_and_refunds(), (fulfilled, 0));
}

/// The fulfilment is stored, and payment has not answered: the account waits for it.
#[tokio::test]
async fn an_order_on_its_way_is_waited_for() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 1450, 9).await);
    let order = app.confirmed(&customer, &mug).await;
    app.payments.hold("capture");
    let path = format!("/v1/orders/{order}/fulfil");
    let closing = async {
        eventually!(app.payments.calls("capture") == 1);
        assert_eq!(close(&app, &customer).await.body, json!({ "open_orders": 1 }));
        app.payments.resume("capture");
    };
    let (sent, ()) = tokio::join!(app.post(&path).by(&operator).send(), closing);
    assert_eq!((sent.status, sent.text("status")), (StatusCode::OK, "fulfilled"));
    assert_eq!(close(&app, &customer).await.body, json!({ "open_orders": 0 }));
    assert_eq!(app.payments.captures_and_refunds(), (1, 0));
}

#[tokio::test]
async fn the_internal_routes_are_for_their_callers_alone() {
    let app = TestApp::start().await;
    let (customer, operator) = (app.customer(), app.operator());
    let path = format!("/internal/v1/accounts/{}/closing", customer.id);
    app.request(Method::PUT, &path).send().await.problem(401);
    app.request(Method::PUT, &path).by(&operator).send().await.problem(401);
    app.request(Method::PUT, &path).header("x-service-credential", "user.00").send().await.problem(401);
    for stranger in ["payment", "trireme", "order"] {
        app.request(Method::PUT, &path).by_service(stranger).send().await.problem(403);
    }
    let bad = "/internal/v1/accounts/nonsense/closing";
    app.request(Method::PUT, bad).by_service("user").send().await.problem(404);
    for audit in ["/internal/v1/audit", "/internal/v1/audit/orders", "/internal/v1/audit/customers"] {
        app.get(audit).send().await.problem(401);
        app.get(audit).by_service("user").send().await.problem(403);
    }
    // Nothing has happened to the account.
    let mug = app.product("mug", 1450, 9).await;
    assert_eq!(app.order(&customer, "k", &mug, 1).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_closing_operator_may_only_read_too() {
    let app = TestApp::start().await;
    let (operator, mug) = (app.operator(), app.product("mug", 1450, 9).await);
    close(&app, &operator).await;
    let patch = app.request(Method::PATCH, &format!("/v1/products/{mug}")).by(&operator);
    patch.header("if-match", "*").json(&json!({ "name": "x" })).send().await.problem(403);
    let again = Person { id: operator.id, token: app.token(operator.id, Role::Operator, 60) };
    app.post(&format!("/v1/products/{mug}/restock")).by(&again).key("k").send().await.problem(403);
}
