//! Events in and out.

use axum::http::StatusCode;
use messaging::Bus as _;
use serde_json::{Value, json};

use crate::service::Service;

#[tokio::test]
async fn confirmed_orders_are_counted_and_change_no_version() {
    let service = Service::start().await;
    let (ada, eve) = (service.person("ada@example.com").await, service.person("eve@example.com").await);
    let before = service.me(&ada).await;
    let data = json!({"order_id": uuid::Uuid::now_v7(), "user_id": ada.id, "total": {"amount": 1, "currency": "EUR"}});
    let mut first = None;
    for _ in 0..3 {
        first = Some(service.tell("order.confirmed.v1", &data).await);
    }
    service.bus.publish(&[first.unwrap()]).await.unwrap();
    service.tell("order.cancelled.v1", &data).await;
    testkit::eventually!(service.me(&ada).await.body["orders_placed"] == 3);
    testkit::eventually!(service.bus.depth("user").await.unwrap() == 0);
    let after = service.me(&ada).await;
    assert_eq!(after.etag(), before.etag());
    let mut expected = before.body.clone();
    expected["orders_placed"] = json!(3);
    assert_eq!(after.body, expected);
    assert_eq!(service.me(&eve).await.body["orders_placed"], 0);
    let patch = service.patch("/v1/users/me").bearer(&ada.access).header("if-match", before.etag());
    let patched = patch.json(&json!({"name": "Ada L."})).send().await.expect(StatusCode::OK);
    assert_eq!(patched.body["orders_placed"], 3);
}

#[tokio::test]
async fn what_cannot_be_handled_is_put_aside() {
    let service = Service::start().await;
    service.tell("order.confirmed.v1", &json!({"user_id": 7})).await;
    service.tell("order.confirmed.v1", &json!({"user_id": uuid::Uuid::now_v7()})).await;
    testkit::eventually!(service.bus.dead_letters(Some("user"), 10).await.unwrap().len() == 2);
}

#[tokio::test]
async fn what_happens_is_told_and_nothing_personal() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
    let patch = service.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    patch.header("x-canary", "true").json(&json!({"name": "Lovelace"})).send().await.expect(StatusCode::OK);
    let patch = service.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    patch.raw("{}").send().await.expect(StatusCode::OK);
    service.register("eve@example.com").await;
    let mut events = service.told(3).await;
    events.retain(|event| event.key == ada.id);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.carrier.canary)).collect();
    assert_eq!(kinds, [("user.registered.v1", false), ("user.updated.v1", true)]);
    for event in events {
        assert_eq!(event.decode::<Value>().unwrap(), json!({ "user_id": ada.id }));
        assert_eq!(event.source, "user");
    }
}

#[test]
fn every_event_has_a_schema() {
    for fact in [user::domain::Fact::Registered, user::domain::Fact::Updated, user::domain::Fact::Closed] {
        let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), fact.kind());
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(schema["title"], fact.kind());
        assert_eq!(schema["required"], json!(["user_id"]));
        assert_eq!(schema["properties"].as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_old_copy_goes_with_the_event_of_its_change() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
    let before = service.me(&ada).await.body["name"].clone();
    // As a process does that is killed between its commit and the cache.
    let database = sqlite::open(&service.config.database.url, &user::adapters::sqlite::MIGRATIONS).await.unwrap();
    sqlx::query("UPDATE users SET name = 'Lovelace', revision = revision + 1").execute(&database.write).await.unwrap();
    assert_eq!(service.me(&ada).await.body["name"], before, "a copy");
    let event = messaging::Event::new("user.updated.v1", "user", &ada.id, clock::system().now(), json!({})).unwrap();
    service.bus.publish(&[event]).await.unwrap();
    testkit::eventually!(service.me(&ada).await.body["name"] == "Lovelace");
}
