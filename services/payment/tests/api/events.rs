//! The events that payment publishes and consumes.

use messaging::{Event, Handler as _, HandlerError, Receipt};
use payment::{api::events::CancelledOrders, domain::ChargeState};
use proto::payment::v1::Status;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    app::{TestApp, authorize_request},
    faulty_provider::Fault,
};

fn cancelled(order: &str) -> (Event, Receipt) {
    let now = OffsetDateTime::now_utc();
    let data = json!({"order_id": order});
    let event = Event::new("order.cancelled.v1", "order", order, now, data).unwrap();
    let receipt = Receipt { consumer: "payment", event_id: event.id };
    (event, receipt)
}

#[tokio::test]
async fn events_have_the_data_that_their_schema_says() {
    let app = TestApp::start().await;
    let (order, payment) = app.authorized().await;
    let declined = Uuid::now_v7();
    app.authorize(authorize_request(declined, "tok_insufficient_funds")).await.unwrap();
    let events = app.events().await;
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
async fn the_payment_of_a_cancelled_order_is_voided_once() {
    let app = TestApp::start().await;
    let handler = CancelledOrders::new(app.use_cases.clone());
    let (order, _) = app.authorized().await;
    let (event, receipt) = cancelled(&order.to_string());
    for _ in 0..2 {
        handler.handle(&event, receipt.clone()).await.unwrap();
    }
    assert_eq!(app.list(order).await[0].status(), Status::Voided);
    assert_eq!(app.charges(order).await, [ChargeState::Voided]);
    assert_eq!(app.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test]
async fn a_cancelled_order_without_a_payment_never_gets_one() {
    let app = TestApp::start().await;
    let handler = CancelledOrders::new(app.use_cases.clone());
    let order = Uuid::now_v7();
    let (event, receipt) = cancelled(&order.to_string());
    handler.handle(&event, receipt).await.unwrap();
    assert!(app.authorize(authorize_request(order, "tok_ok")).await.is_err());
}

#[tokio::test]
async fn what_can_never_succeed_is_a_permanent_error() {
    let app = TestApp::start().await;
    let handler = CancelledOrders::new(app.use_cases.clone());
    let (order, _) = app.authorized().await;
    app.capture(order).await.unwrap();
    for key in [order.to_string(), "no order".into()] {
        let (event, receipt) = cancelled(&key);
        let error = handler.handle(&event, receipt).await.unwrap_err();
        assert!(matches!(error, HandlerError::Permanent(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_not_the_events_failure() {
    let app = TestApp::start().await;
    let handler = CancelledOrders::new(app.use_cases.clone());
    let (event, receipt) = cancelled(&Uuid::now_v7().to_string());
    app.database.close().await;
    let error = handler.handle(&event, receipt).await.unwrap_err();
    assert!(matches!(error, HandlerError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_the_events_failure() {
    let app = TestApp::start().await;
    let handler = CancelledOrders::new(app.use_cases.clone());
    let (order, _) = app.authorized().await;
    let (event, receipt) = cancelled(&order.to_string());
    app.provider.fail_next(Fault::AnswerLost);
    app.provider.fail_queries(true);
    let error = handler.handle(&event, receipt.clone()).await.unwrap_err();
    assert!(matches!(error, HandlerError::Unavailable(_)), "{error:?}");
    app.provider.fail_queries(false);
    handler.handle(&event, receipt).await.unwrap();
    assert_eq!(app.list(order).await[0].status(), Status::Voided);
}
