//! Orders left behind, and what the sweeper does for them.

use std::time::Duration;

use proto::payment::v1::Status as Paid;
use testkit::eventually;

use crate::shop::Shop;

const SOON: Duration = Duration::from_secs(10);

async fn left_behind(shop: &Shop, key: &str, mug: &str) -> String {
    shop.payments.fail("authorize", 100);
    let told = shop.order(&shop.customer(), key, mug, 1).send().await;
    assert_eq!(told.text("status"), "pending");
    shop.payments.fail("authorize", 0);
    told.id()
}

#[tokio::test]
async fn the_sweeper_carries_on() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = left_behind(&shop, "k", &mug).await;
    shop.later(SOON).await;
    assert_eq!(shop.status(&order).await, "confirmed");
    assert_eq!(shop.events().await, ["order.placed.v1", "order.confirmed.v1"]);
}

#[tokio::test]
async fn an_order_that_somebody_waits_for_is_left_alone() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    left_behind(&shop, "k", &mug).await;
    let calls = shop.payments.calls("authorize");
    shop.later(Duration::from_secs(1)).await;
    assert_eq!(shop.payments.calls("authorize"), calls);
}

#[tokio::test]
async fn what_fails_is_put_off() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = left_behind(&shop, "k", &mug).await;
    shop.payments.fail("authorize", 1);
    shop.later(SOON).await;
    let calls = shop.payments.calls("authorize");
    shop.later(Duration::from_millis(500)).await;
    assert_eq!(shop.payments.calls("authorize"), calls);
    shop.later(Duration::from_millis(600)).await;
    assert_eq!((shop.payments.calls("authorize"), shop.status(&order).await.as_str()), (calls + 1, "confirmed"));
}

#[tokio::test]
async fn what_payment_never_answers_is_voided_then_rejected() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = left_behind(&shop, "k", &mug).await;
    shop.payments.fail("authorize", 100);
    shop.payments.fail("void", 1);
    shop.later(Duration::from_secs(899)).await;
    assert_eq!(shop.status(&order).await, "pending");
    // Patience ends, but the void has not answered: it still might be paid.
    shop.later(SOON).await;
    assert_eq!((shop.status(&order).await.as_str(), shop.available(&mug).await), ("pending", 4));
    shop.later(SOON).await;
    let told = shop.get(&format!("/v1/orders/{order}")).by(&shop.operator()).send().await;
    assert_eq!((told.text("status"), told.text("reason")), ("rejected", "payment_unavailable"));
    assert_eq!(shop.available(&mug).await, 5);
}

#[tokio::test]
async fn a_late_authorization_of_a_given_up_order_is_voided() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    shop.payments.hold("authorize");
    let order = shop.order(&shop.customer(), "k", &mug, 1).send().await.id();
    shop.payments.go_on("authorize");
    // Held now at the stand-in, or not at all: either way nothing may stay held.
    shop.later(Duration::from_secs(901)).await;
    eventually!(shop.status(&order).await == "rejected");
    assert_ne!(shop.payments.status(&order), Some(Paid::Authorized));
}

#[tokio::test]
async fn a_cancel_that_payment_did_not_hear_is_repeated() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.payments.fail("void", 1);
    shop.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await;
    eventually!(shop.payments.calls("void") == 1);
    eventually!({
        shop.later(SOON).await;
        shop.status(&order).await == "cancelled"
    });
}

#[tokio::test]
async fn many_left_behind_are_all_found() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 500).await;
    shop.payments.fail("authorize", usize::MAX);
    let place = async |n: i32| {
        let told = shop.order(&shop.customer(), &n.to_string(), &mug, 1).send().await;
        assert_eq!(told.text("status"), "pending");
    };
    futures::future::join_all((0..120).map(place)).await;
    shop.payments.fail("authorize", 0);
    shop.later(SOON).await;
    shop.later(SOON).await;
    let audit = shop.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(audit.body["orders"], serde_json::json!({ "confirmed": 120 }));
    assert_eq!(audit.body["unsettled"], 0);
}

#[tokio::test]
async fn the_sweeper_goes_on_under_the_trace_of_the_placing() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    shop.payments.fail("authorize", 100);
    let ask = shop.order(&shop.customer(), "k", &mug, 1).header("x-canary", "true");
    ask.header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")).send().await;
    shop.payments.fail("authorize", 0);
    shop.later(SOON).await;
    let metadata = shop.payments.metadata("authorize").unwrap();
    assert_eq!(metadata.get("x-canary").unwrap(), "true");
    assert!(metadata.get("traceparent").unwrap().to_str().unwrap().contains(trace));
}
