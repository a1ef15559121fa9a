//! Events of the other services, handled at least once and applied once.

use std::{sync::Arc, time::Duration};

use messaging::{Event, Failure, Handler, Receipt};
use order::api::events::{Events, GROUP};
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::shop::Shop;

fn event(kind: &str, data: &Value) -> Event {
    Event::new(kind, "test", "key", time::OffsetDateTime::UNIX_EPOCH, data).unwrap()
}

async fn handle(shop: &Shop, event: &Event) -> Result<(), Failure> {
    let receipt = Receipt { consumer: GROUP, event_id: event.id };
    Events::new(Arc::clone(&shop.app)).handle(event, receipt).await
}

async fn pending(shop: &Shop, mug: &str) -> String {
    shop.payments.fail("authorize", 100);
    let order = shop.order(&shop.customer(), "k", mug, 1).send().await.id();
    shop.payments.fail("authorize", 0);
    order
}

#[tokio::test]
async fn a_payment_event_carries_the_order_on_and_again_does_nothing() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = pending(&shop, &mug).await;
    let told = event("payment.authorized.v1", &json!({ "order_id": order, "payment_id": Uuid::new_v4() }));
    for _ in 0..3 {
        handle(&shop, &told).await.unwrap();
        assert_eq!(shop.status(&order).await, "confirmed");
    }
    assert_eq!(shop.events().await, ["order.placed.v1", "order.confirmed.v1"]);
}

#[tokio::test]
async fn an_event_is_done_when_payment_does_not_answer() {
    let shop = Shop::impatient().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = pending(&shop, &mug).await;
    shop.payments.fail("authorize", 1);
    handle(&shop, &event("payment.authorized.v1", &json!({ "order_id": order }))).await.unwrap();
    assert_eq!(shop.status(&order).await, "pending");
    shop.later(Duration::from_secs(10)).await;
    assert_eq!(shop.status(&order).await, "confirmed");
}

#[tokio::test]
async fn an_event_of_an_order_at_rest_changes_nothing() {
    let shop = Shop::open().await;
    let mug = shop.product("mug", 1450, 5).await;
    let order = shop.confirmed(&shop.customer(), &mug).await;
    for kind in ["payment.authorized.v1", "payment.voided.v1", "payment.declined.v1", "payment.refunded.v1"] {
        handle(&shop, &event(kind, &json!({ "order_id": order }))).await.unwrap();
    }
    handle(&shop, &event("payment.captured.v1", &json!({ "order_id": Uuid::new_v4() }))).await.unwrap();
    assert_eq!(shop.status(&order).await, "confirmed");
}

#[tokio::test]
async fn a_closed_account_is_closed_here_too() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    let order = shop.confirmed(&customer, &mug).await;
    let closed = event("user.closed.v1", &json!({ "user_id": customer.id }));
    for _ in 0..2 {
        handle(&shop, &closed).await.unwrap();
    }
    eventually!(shop.status(&order).await == "cancelled");
    shop.order(&customer, "k", &mug, 1).send().await.refused(403);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_tried_again() {
    let shop = Shop::open().await;
    for bad in [
        event("payment.captured.v1", &json!({ "order_id": "nonsense" })),
        event("user.closed.v1", &json!({})),
        event("payment.invented.v1", &json!({ "order_id": Uuid::new_v4() })),
    ] {
        assert!(matches!(handle(&shop, &bad).await, Err(Failure::Permanent(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn our_events_fit_their_schemas() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 1450, 5).await);
    shop.confirmed(&customer, &mug).await;
    shop.order_by(&customer, "d", &mug, 1, "tok_declined").send().await;
    let rows = messaging::Outbox::claim(&shop.outbox, "test", 10).await.unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), row.event.kind);
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let data: Value = row.event.decode().unwrap();
        for name in schema["required"].as_array().unwrap() {
            assert!(data.get(name.as_str().unwrap()).is_some(), "{name} in {data}");
        }
        for name in data.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
        }
        assert_eq!(data["order_id"], row.event.key.as_str());
        assert_eq!(data["user_id"], customer.id.to_string());
        assert_eq!(data["total"], json!({ "amount": 1450, "currency": "EUR" }));
        assert_eq!(data["items"], json!([{ "product_id": mug, "quantity": 1 }]));
    }
}
