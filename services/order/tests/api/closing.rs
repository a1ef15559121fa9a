//! Closing an account: the internal route, the event, and what it means for everybody else.

use auth::Role;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::eventually;
use uuid::Uuid;

use crate::shop::{Person, Shop, Told};

async fn close(shop: &Shop, person: &Person) -> Told {
    let path = format!("/internal/v1/accounts/{}/closing", person.id);
    shop.ask(Method::PUT, &path).by_service("user").send().await
}

#[tokio::test]
async fn open_orders_are_called_off_and_sent_ones_stay() {
    let shop = Shop::impatient().await;
    let (customer, operator, mug) = (shop.customer(), shop.operator(), shop.product("mug", 1450, 9).await);
    let fulfilled = shop.confirmed(&customer, &mug).await;
    shop.post(&format!("/v1/orders/{fulfilled}/fulfil")).by(&operator).send().await;
    let confirmed = shop.confirmed(&customer, &mug).await;
    let rejected = shop.order_by(&customer, "r", &mug, 1, "tok_declined").send().await.id();
    shop.payments.fail("authorize", 100);
    let pending = shop.order(&customer, "p", &mug, 1).send().await.id();
    let others = shop.customer();
    shop.payments.fail("authorize", 0);
    let other = shop.confirmed(&others, &mug).await;
    shop.payments.hold("void");
    let told = close(&shop, &customer).await;
    assert_eq!((told.status, told.body), (StatusCode::OK, json!({ "open_orders": 2 })));
    assert_eq!(close(&shop, &customer).await.body, json!({ "open_orders": 2 }));
    shop.payments.go_on("void");
    eventually!(close(&shop, &customer).await.body == json!({ "open_orders": 0 }));
    for (order, status) in
        [(&fulfilled, "fulfilled"), (&confirmed, "cancelled"), (&rejected, "rejected"), (&pending, "cancelled")]
    {
        assert_eq!(shop.status(order).await, status);
    }
    let told = shop.get(&format!("/v1/orders/{confirmed}")).by(&operator).send().await;
    assert_eq!(told.text("reason"), "account_closed");
    assert_eq!(shop.status(&other).await, "confirmed");
    assert_eq!(shop.available(&mug).await, 7);
}

#[tokio::test]
async fn a_closing_account_may_only_read() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 9).await);
    let placed = shop.order(&customer, "k", &mug, 1).send().await;
    close(&shop, &customer).await;
    shop.order(&customer, "k", &mug, 1).send().await.refused(403);
    shop.order(&customer, "l", &mug, 1).send().await.refused(403);
    // Also before anything else is looked at.
    shop.post("/v1/orders").by(&customer).send().await.refused(403);
    shop.post(&format!("/v1/orders/{}/cancel", placed.id())).by(&customer).send().await.refused(403);
    shop.post(&format!("/v1/orders/{}/cancel", Uuid::new_v4())).by(&customer).send().await.refused(403);
    shop.post("/v1/orders/nonsense/cancel").by(&customer).send().await.refused(403);
    let read = shop.get(&format!("/v1/orders/{}", placed.id())).by(&customer).send().await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(shop.get("/v1/orders").by(&customer).send().await.status, StatusCode::OK);
    assert_eq!(shop.order(&shop.customer(), "k", &mug, 1).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_order_placed_at_the_same_time_is_refused_or_called_off() {
    let shop = Shop::open().await;
    let mug = shop.product("mug", 1450, 99).await;
    let race = async |n: i32| {
        let customer = shop.customer();
        let (placed, closed) =
            tokio::join!(shop.order(&customer, &n.to_string(), &mug, 1).send(), close(&shop, &customer));
        assert_eq!(closed.status, StatusCode::OK);
        if placed.status == StatusCode::FORBIDDEN {
            return;
        }
        eventually!(shop.status(&placed.id()).await == "cancelled");
    };
    futures::future::join_all((0..16).map(race)).await;
    assert_eq!(shop.available(&mug).await, 99);
}

#[tokio::test]
async fn the_internal_routes_are_for_their_callers_alone() {
    let shop = Shop::open().await;
    let (customer, operator) = (shop.customer(), shop.operator());
    let path = format!("/internal/v1/accounts/{}/closing", customer.id);
    shop.ask(Method::PUT, &path).send().await.refused(401);
    shop.ask(Method::PUT, &path).by(&operator).send().await.refused(401);
    shop.ask(Method::PUT, &path).header("x-service-credential", "user.00").send().await.refused(401);
    for stranger in ["payment", "trireme", "order"] {
        shop.ask(Method::PUT, &path).by_service(stranger).send().await.refused(403);
    }
    let bad = "/internal/v1/accounts/nonsense/closing";
    shop.ask(Method::PUT, bad).by_service("user").send().await.refused(404);
    shop.get("/internal/v1/audit").send().await.refused(401);
    shop.get("/internal/v1/audit").by_service("user").send().await.refused(403);
    // Nothing has happened to the account.
    let mug = shop.product("mug", 1450, 9).await;
    assert_eq!(shop.order(&customer, "k", &mug, 1).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_closing_operator_may_only_read_too() {
    let shop = Shop::open().await;
    let (operator, mug) = (shop.operator(), shop.product("mug", 1450, 9).await);
    close(&shop, &operator).await;
    let patch = shop.ask(Method::PATCH, &format!("/v1/products/{mug}")).by(&operator);
    patch.header("if-match", "*").json(&json!({ "name": "x" })).send().await.refused(403);
    let again = Person { id: operator.id, token: shop.token(operator.id, Role::Operator, 60) };
    shop.post(&format!("/v1/products/{mug}/restock")).by(&again).key("k").send().await.refused(403);
}
