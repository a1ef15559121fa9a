//! `POST /v1/orders/{id}/fulfil`, and its race against a cancel.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use proto::payment::v1::Status as Paid;
use testkit::eventually;

use crate::shop::{Shop, Told};

async fn fulfil(shop: &Shop, order: &str) -> Told {
    shop.post(&format!("/v1/orders/{order}/fulfil")).by(&shop.operator()).send().await
}

#[tokio::test]
async fn fulfilling_takes_the_money_once() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    let told = fulfil(&shop, &order).await;
    assert_eq!((told.status, told.text("status")), (StatusCode::OK, "fulfilled"));
    assert_eq!(told.body["payment"]["status"], "captured");
    assert_eq!(told.header("etag"), format!("\"{}\"", told.body["version"]));
    let again = fulfil(&shop, &order).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, told.body));
    assert_eq!(shop.payments.moved(), (1, 0));
    assert_eq!(shop.events().await, ["order.placed.v1", "order.confirmed.v1", "order.fulfilled.v1"]);
    assert_eq!(shop.available(&mug).await, 4);
}

#[tokio::test]
async fn only_what_is_confirmed_can_be_fulfilled() {
    let shop = Shop::impatient().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 9).await);
    let rejected = shop.order_by(&customer, "1", &mug, 1, "tok_declined").send().await.id();
    fulfil(&shop, &rejected).await.refused(409);
    shop.payments.fail("authorize", 100);
    let pending = shop.order(&customer, "2", &mug, 1).send().await.id();
    fulfil(&shop, &pending).await.refused(409);
    shop.post(&format!("/v1/orders/{pending}/cancel")).by(&customer).send().await;
    eventually!(shop.status(&pending).await == "cancelled");
    fulfil(&shop, &pending).await.refused(409);
}

#[tokio::test]
async fn payment_that_is_down_is_waited_for() {
    let shop = Shop::impatient().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.fail("capture", 100);
    let told = fulfil(&shop, &order).await;
    assert_eq!(told.refused(503).header("retry-after"), "1");
    // On its way, and shown as it was.
    assert_eq!(shop.status(&order).await, "confirmed");
    shop.payments.fail("capture", 0);
    shop.later(Duration::from_secs(3)).await;
    assert_eq!(shop.status(&order).await, "fulfilled");
    assert_eq!(fulfil(&shop, &order).await.status, StatusCode::OK);
    assert_eq!(shop.payments.moved(), (1, 0));
}

#[tokio::test]
async fn a_cancel_after_the_fulfil_is_a_refund() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.hold("capture");
    let cancelling = async {
        eventually!(shop.payments.calls("capture") == 1);
        let told = shop.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
        assert_eq!((told.status, told.text("status")), (StatusCode::ACCEPTED, "refunding"));
        shop.payments.go_on("capture");
    };
    let (told, ()) = tokio::join!(fulfil(&shop, &order), cancelling);
    assert_eq!(told.status, StatusCode::OK, "{told:?}");
    eventually!(shop.status(&order).await == "refunded");
    assert_eq!((shop.payments.moved(), shop.payments.status(&order)), ((1, 1), Some(Paid::Refunded)));
    assert_eq!(shop.available(&mug).await, 4, "the goods have left");
}

#[tokio::test]
async fn a_cancel_before_the_fulfil_makes_it_a_conflict() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.hold("void");
    shop.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    fulfil(&shop, &order).await.refused(409);
    shop.payments.go_on("void");
    eventually!(shop.status(&order).await == "cancelled");
    assert_eq!(shop.payments.moved(), (0, 0));
}

#[tokio::test]
async fn whoever_wins_money_and_goods_agree() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 100).await);
    let race = async |_| {
        let order = shop.confirmed(&customer, &mug).await;
        let path = format!("/v1/orders/{order}/cancel");
        let (sent, off) = tokio::join!(fulfil(&shop, &order), shop.post(&path).by(&customer).send());
        assert!(matches!(off.status.as_u16(), 200 | 202), "{off:?}");
        let wanted = if sent.status == StatusCode::OK { "refunded" } else { "cancelled" };
        assert!(matches!(sent.status.as_u16(), 200 | 409), "{sent:?}");
        eventually!(shop.status(&order).await == wanted);
        wanted == "refunded"
    };
    let outcomes = join_all((0..24).map(race)).await;
    let refunded = outcomes.iter().filter(|refunded| **refunded).count();
    assert_eq!(shop.payments.moved(), (refunded, refunded));
    assert_eq!(shop.available(&mug).await, 100 - i64::try_from(refunded).unwrap());
}

#[tokio::test]
async fn goods_stay_when_the_money_is_gone() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.void_elsewhere(&order);
    fulfil(&shop, &order).await.refused(409);
    eventually!(shop.status(&order).await == "cancelled");
    assert_eq!(shop.available(&mug).await, 5);
}
