//! `POST /v1/orders/{id}/cancel`.

use futures::future::join_all;
use http::StatusCode;
use proto::payment::v1::Status as Paid;
use testkit::eventually;

use crate::shop::{Person, Shop, Told};

async fn cancel(shop: &Shop, person: &Person, order: &str) -> Told {
    shop.post(&format!("/v1/orders/{order}/cancel")).by(person).send().await
}

#[tokio::test]
async fn a_confirmed_order_is_voided_and_gives_its_stock_back() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.hold("void");
    let told = cancel(&shop, &customer, &order).await;
    assert_eq!((told.status, told.text("status")), (StatusCode::ACCEPTED, "cancelling"));
    assert_eq!(told.text("reason"), "cancelled_by_customer");
    assert_eq!(told.header("etag"), format!("\"{}\"", told.body["version"]));
    let again = cancel(&shop, &customer, &order).await;
    assert_eq!((again.status, again.body), (StatusCode::ACCEPTED, told.body));
    assert_eq!(shop.available(&mug).await, 4);
    shop.payments.go_on("void");
    eventually!(shop.status(&order).await == "cancelled");
    assert_eq!((shop.payments.status(&order), shop.available(&mug).await), (Some(Paid::Voided), 5));
    let done = cancel(&shop, &customer, &order).await;
    assert_eq!((done.status, done.text("status")), (StatusCode::OK, "cancelled"));
    assert_eq!(done.body["payment"]["status"], "voided");
    assert_eq!(shop.events().await, ["order.placed.v1", "order.confirmed.v1", "order.cancelled.v1"]);
}

#[tokio::test]
async fn a_fulfilled_order_is_refunded_and_keeps_its_stock() {
    let shop = Shop::open().await;
    let (customer, operator, mug) = (shop.customer(), shop.operator(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    let sent = shop.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await;
    assert_eq!(sent.text("status"), "fulfilled");
    shop.payments.hold("refund");
    let told = cancel(&shop, &operator, &order).await;
    assert_eq!((told.status, told.text("status")), (StatusCode::ACCEPTED, "refunding"));
    assert_eq!(told.text("reason"), "cancelled_by_operator");
    assert_eq!(cancel(&shop, &operator, &order).await.status, StatusCode::ACCEPTED);
    shop.payments.go_on("refund");
    eventually!(shop.status(&order).await == "refunded");
    assert_eq!((shop.payments.moved(), shop.available(&mug).await), ((1, 1), 4));
    let done = cancel(&shop, &customer, &order).await;
    assert_eq!((done.status, done.text("status")), (StatusCode::OK, "refunded"));
    assert_eq!(shop.events().await.last().unwrap(), "order.refunded.v1");
}

#[tokio::test]
async fn a_pending_order_never_gets_a_payment() {
    let shop = Shop::impatient().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    shop.payments.fail("authorize", 100);
    let order = shop.order(&customer, "k", &mug, 1).send().await.id();
    let told = cancel(&shop, &customer, &order).await;
    assert_eq!((told.status, told.text("status")), (StatusCode::ACCEPTED, "cancelling"));
    eventually!(shop.status(&order).await == "cancelled");
    assert_eq!((shop.payments.status(&order), shop.available(&mug).await), (None, 5));
    // A retry of the placing finds it as it is.
    let again = shop.order(&customer, "k", &mug, 1).send().await;
    assert_eq!((again.status, again.text("status")), (StatusCode::OK, "cancelled"));
}

#[tokio::test]
async fn a_cancel_beats_an_authorization_under_way() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    shop.payments.hold("authorize");
    let cancelling = async {
        eventually!(shop.payments.calls("authorize") == 1);
        let list = shop.get("/v1/orders").by(&customer).send().await;
        let order = list.body["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(cancel(&shop, &customer, &order).await.status, StatusCode::ACCEPTED);
        eventually!(shop.status(&order).await == "cancelled");
        shop.payments.go_on("authorize");
        order
    };
    let (order, placed) = tokio::join!(cancelling, shop.order(&customer, "k", &mug, 1).send());
    assert_eq!((placed.id(), placed.text("status")), (order.clone(), "cancelled"));
    assert_ne!(shop.payments.status(&order), Some(Paid::Authorized));
    assert_eq!(shop.available(&mug).await, 5);
}

#[tokio::test]
async fn a_rejected_order_cannot_be_cancelled() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.order_by(&customer, "k", &mug, 1, "tok_declined").send().await.id();
    cancel(&shop, &customer, &order).await.refused(409);
}

#[tokio::test]
async fn only_the_owner_and_operators_may_cancel() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    cancel(&shop, &shop.customer(), &order).await.refused(404);
    assert_eq!(shop.status(&order).await, "confirmed");
    assert_eq!(cancel(&shop, &shop.operator(), &order).await.text("reason"), "cancelled_by_operator");
}

#[tokio::test]
async fn many_cancels_are_one() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    let told = join_all((0..12).map(|_| cancel(&shop, &customer, &order))).await;
    assert!(told.iter().all(|told| matches!(told.status.as_u16(), 200 | 202)), "{told:?}");
    eventually!(shop.status(&order).await == "cancelled");
    assert_eq!(shop.available(&mug).await, 5);
    assert_eq!(shop.events().await.iter().filter(|kind| *kind == "order.cancelled.v1").count(), 1);
}
