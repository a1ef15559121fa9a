//! What payment tells and what it hears.

use messaging::{Event, Failure, Handler as _, Receipt};
use payment::{api::events::CancelledOrders, domain::ChargeState};
use proto::payment::v1::Status;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::harness::{Service, request};

fn cancelled(order: &str) -> (Event, Receipt) {
    let now = OffsetDateTime::now_utc();
    let data = json!({"order_id": order});
    let event = Event::new("order.cancelled.v1", "order", order, now, data).unwrap();
    let receipt = Receipt { consumer: "payment", event_id: event.id };
    (event, receipt)
}

#[tokio::test]
async fn events_have_the_data_that_their_schema_says() {
    let service = Service::start().await;
    let (order, payment) = service.authorized().await;
    let declined = Uuid::now_v7();
    service.authorize(request(declined, "tok_insufficient_funds")).await.unwrap();
    let events = service.events().await;
    assert_eq!(events[0].key, order.to_string());
    assert_eq!(
        events[0].decode::<Value>().unwrap(),
        json!({
            "payment_id": payment.id, "order_id": order, "amount": {"amount": 1_299, "currency": "EUR"},
        })
    );
    assert_eq!(events[1].kind, "payment.declined.v1");
    assert_eq!(events[1].decode::<Value>().unwrap()["decline_reason"], "insufficient_funds");
    for event in events {
        let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), event.kind);
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let data = event.decode::<Value>().unwrap();
        let mut members: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
        let mut required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        members.sort();
        required.sort();
        assert_eq!(members, required, "{}", event.kind);
    }
}

#[tokio::test]
async fn a_cancelled_order_lets_its_money_go_once() {
    let service = Service::start().await;
    let handler = CancelledOrders::new(service.cashier.clone());
    let (order, _) = service.authorized().await;
    let (event, receipt) = cancelled(&order.to_string());
    for _ in 0..2 {
        handler.handle(&event, receipt.clone()).await.unwrap();
    }
    assert_eq!(service.list(order).await[0].status(), Status::Voided);
    assert_eq!(service.charges(order).await, [ChargeState::Voided]);
    assert_eq!(service.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test]
async fn a_cancelled_order_without_a_payment_never_gets_one() {
    let service = Service::start().await;
    let handler = CancelledOrders::new(service.cashier.clone());
    let order = Uuid::now_v7();
    let (event, receipt) = cancelled(&order.to_string());
    handler.handle(&event, receipt).await.unwrap();
    assert!(service.authorize(request(order, "tok_ok")).await.is_err());
}

#[tokio::test]
async fn what_can_never_work_is_said_to_be_permanent() {
    let service = Service::start().await;
    let handler = CancelledOrders::new(service.cashier.clone());
    let (order, _) = service.authorized().await;
    service.capture(order).await.unwrap();
    for key in [order.to_string(), "no order".into()] {
        let (event, receipt) = cancelled(&key);
        let failure = handler.handle(&event, receipt).await.unwrap_err();
        assert!(matches!(failure, Failure::Permanent(_)), "{failure:?}");
    }
}
