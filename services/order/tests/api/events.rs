//! Events of the other services, handled at least once and applied once.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use messaging::{Event, Handler, HandlerError, Receipt};
use order::{
    api::events::{Events, GROUP},
    domain::ids::{OrderId, UserId},
};
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{Person, RequestExt as _, TestApp};

fn event(kind: &str, data: &Value) -> Event {
    Event::new(kind, "test", "key", time::OffsetDateTime::UNIX_EPOCH, data).unwrap()
}

async fn handle(app: &TestApp, event: &Event) -> Result<(), HandlerError> {
    let receipt = Receipt { consumer: GROUP, event_id: event.id };
    Events::new(Arc::clone(&app.use_cases)).handle(event, receipt).await
}

async fn pending(app: &TestApp, mug: &str) -> String {
    app.payments.fail("authorize", 100);
    let order = app.order(&app.customer(), "k", mug, 1).send().await.id();
    app.payments.fail("authorize", 0);
    order
}

#[tokio::test]
async fn a_payment_event_carries_the_order_on_and_again_does_nothing() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, &mug).await;
    let authorized = event("payment.authorized.v1", &json!({ "order_id": order, "payment_id": Uuid::new_v4() }));
    for _ in 0..3 {
        handle(&app, &authorized).await.unwrap();
        assert_eq!(app.status(&order).await, "confirmed");
    }
    assert_eq!(app.events().await, ["order.placed.v1", "order.confirmed.v1"]);
}

/// It is faster than payment's answer is stored, most of the time: the request that waits for that does it all.
#[tokio::test]
async fn an_event_that_comes_while_its_request_runs_has_nothing_done_twice() {
    let app = TestApp::start().await;
    let (mug, customer) = (app.product("mug", 1450, 5).await, app.customer());
    app.payments.hold("authorize");
    let order = OrderId::derive(UserId(customer.id), "k").0;
    let told = async {
        eventually!(app.payments.calls("authorize") == 1);
        let authorized = event("payment.authorized.v1", &json!({ "order_id": order }));
        let resumed = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            app.payments.resume("authorize");
        };
        futures::join!(handle(&app, &authorized), resumed).0.unwrap();
    };
    let (placed, ()) = futures::join!(app.order(&customer, "k", &mug, 1).send(), told);
    assert_eq!((placed.id(), placed.text("status")), (order.to_string(), "confirmed"));
    assert_eq!(app.payments.calls("authorize"), 1);
}

#[tokio::test]
async fn an_event_is_done_when_payment_does_not_answer() {
    let app = TestApp::with_short_wait().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, &mug).await;
    app.payments.fail("authorize", 1);
    handle(&app, &event("payment.authorized.v1", &json!({ "order_id": order }))).await.unwrap();
    assert_eq!(app.status(&order).await, "pending");
    app.sweep_after(Duration::from_secs(10)).await;
    assert_eq!(app.status(&order).await, "confirmed");
}

/// What became due under a clock that was an hour ahead is due once it is right.
#[tokio::test]
async fn a_clock_that_was_ahead_stops_no_order() {
    let app = TestApp::with_short_wait().await;
    let now = clock::Clock::now(&app.clock);
    app.clock.advance(Duration::from_hours(1));
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, &mug).await;
    app.clock.set(now);
    app.sweep_after(Duration::ZERO).await;
    assert_eq!(app.status(&order).await, "confirmed");
}

/// An order that was placed before is not given up under a clock that is an hour ahead for a moment.
#[tokio::test]
async fn a_clock_that_is_ahead_for_a_moment_ends_no_order() {
    let app = TestApp::with_short_wait().await;
    let now = clock::Clock::now(&app.clock);
    let mug = app.product("mug", 1450, 5).await;
    let order = pending(&app, &mug).await;
    app.payments.fail("authorize", 1);
    app.sweep_after(Duration::from_hours(1)).await;
    assert_eq!(app.status(&order).await, "pending");
    app.clock.set(now);
    app.sweep_after(Duration::ZERO).await;
    assert_eq!(app.status(&order).await, "confirmed");
}

#[tokio::test]
async fn an_event_of_an_order_without_a_next_step_changes_nothing() {
    let app = TestApp::start().await;
    let mug = app.product("mug", 1450, 5).await;
    let order = app.confirmed(&app.customer(), &mug).await;
    for kind in ["payment.authorized.v1", "payment.voided.v1", "payment.declined.v1", "payment.refunded.v1"] {
        handle(&app, &event(kind, &json!({ "order_id": order }))).await.unwrap();
    }
    handle(&app, &event("payment.captured.v1", &json!({ "order_id": Uuid::new_v4() }))).await.unwrap();
    assert_eq!(app.status(&order).await, "confirmed");
}

#[tokio::test]
async fn a_closed_account_is_closed_here_too() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    let closed = event("user.closed.v1", &json!({ "user_id": customer.id }));
    for _ in 0..2 {
        handle(&app, &closed).await.unwrap();
    }
    eventually!(app.status(&order).await == "cancelled");
    app.order(&customer, "k", &mug, 1).send().await.problem(403);
}

#[tokio::test]
async fn a_disabled_account_may_only_read() {
    let app = TestApp::start().await;
    let (customer, olga, mug) = (app.customer(), app.operator(), app.product("mug", 1450, 5).await);
    let order = app.confirmed(&customer, &mug).await;
    let standing = async |kind, person: &Person, version| {
        handle(&app, &event(kind, &json!({ "user_id": person.id, "version": version }))).await.unwrap();
    };
    standing("user.disabled.v1", &customer, 2).await;
    standing("user.disabled.v1", &olga, 2).await;
    let refused = app.order(&customer, "k", &mug, 1).send().await;
    assert!(refused.problem(403).text("type").ends_with("/account-disabled"));
    app.post(&format!("/v1/orders/{order}/cancel")).by(&customer).send().await.problem(403);
    app.post(&format!("/v1/orders/{order}/fulfil")).by(&olga).send().await.problem(403);
    assert_eq!(app.status(&order).await, "confirmed");
    app.get(&format!("/v1/orders/{order}")).by(&customer).send().await.expect(StatusCode::OK);
    standing("user.enabled.v1", &customer, 3).await;
    standing("user.disabled.v1", &customer, 2).await;
    app.order(&customer, "k", &mug, 1).send().await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_tried_again() {
    let app = TestApp::start().await;
    for bad in [
        event("payment.captured.v1", &json!({ "order_id": "nonsense" })),
        event("user.closed.v1", &json!({})),
        event("user.disabled.v1", &json!({ "user_id": Uuid::new_v4() })),
        event("payment.invented.v1", &json!({ "order_id": Uuid::new_v4() })),
    ] {
        assert!(matches!(handle(&app, &bad).await, Err(HandlerError::Permanent(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_not_the_events_failure() {
    let app = TestApp::start().await;
    app.database.close().await;
    for event in [
        event("payment.captured.v1", &json!({ "order_id": Uuid::new_v4() })),
        event("user.closed.v1", &json!({ "user_id": Uuid::new_v4() })),
    ] {
        assert!(matches!(handle(&app, &event).await, Err(HandlerError::Unavailable(_))), "{event:?}");
    }
}

#[tokio::test]
async fn our_events_fit_their_schemas() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.confirmed(&customer, &mug).await;
    app.order_by(&customer, "d", &mug, 1, "tok_declined").send().await;
    let rows = messaging::Outbox::claim(&app.outbox, "test", 10).await.unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), row.event.kind);
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let data: Value = row.event.decode().unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(!required.is_empty(), "{schema}");
        for name in required {
            assert!(data.get(name.as_str().unwrap()).is_some(), "{name} in {data}");
        }
        for name in data.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
        }
        if row.event.kind.starts_with("product.") {
            assert_eq!((data["product_id"].as_str(), row.event.key.as_str()), (Some(mug.as_str()), mug.as_str()));
            continue;
        }
        assert_eq!(data["order_id"], row.event.key.as_str());
        assert_eq!(data["user_id"], customer.id.to_string());
        assert_eq!(data["total"], json!({ "amount": 1450, "currency": "EUR" }));
        assert_eq!(data["items"], json!([{ "product_id": mug, "quantity": 1 }]));
    }
}
