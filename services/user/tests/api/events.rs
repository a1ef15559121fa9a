//! Events in and out.

use axum::http::StatusCode;
use messaging::{Bus as _, Event};
use serde_json::{Value, json};
use time::OffsetDateTime;
use user::{
    app::published,
    domain::{Account, DomainEvent, Email, Name, UserId},
};
use uuid::Uuid;

use crate::app::TestApp;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

#[tokio::test]
async fn confirmed_orders_are_counted_and_change_no_version() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let before = app.me(&ada).await;
    let data = json!({"order_id": Uuid::now_v7(), "user_id": ada.id, "total": {"amount": 1, "currency": "EUR"}});
    let mut first = None;
    for _ in 0..3 {
        first = Some(app.publish("order.confirmed.v1", &data).await);
    }
    app.bus.publish(&[first.unwrap()]).await.unwrap();
    app.publish("order.cancelled.v1", &data).await;
    testkit::eventually!(app.me(&ada).await.body["orders_placed"] == 3);
    testkit::eventually!(app.bus.depth("user").await.unwrap() == 0);
    let after = app.me(&ada).await;
    assert_eq!(after.etag(), before.etag());
    let mut expected = before.body.clone();
    expected["orders_placed"] = json!(3);
    assert_eq!(after.body, expected);
    assert_eq!(app.me(&eve).await.body["orders_placed"], 0);
    let patch = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", before.etag());
    let patched = patch.json(&json!({"name": "Ada L."})).send().await.expect(StatusCode::OK);
    assert_eq!(patched.body["orders_placed"], 3);
}

#[tokio::test]
async fn what_cannot_be_handled_is_dead_lettered() {
    let app = TestApp::start().await;
    app.publish("order.confirmed.v1", &json!({"user_id": 7})).await;
    let total = json!({"amount": 1, "currency": "EUR"});
    let nobodys = json!({"user_id": Uuid::now_v7(), "order_id": Uuid::now_v7(), "total": total});
    app.publish("order.confirmed.v1", &nobodys).await;
    testkit::eventually!(app.bus.dead_letters(Some("user"), 10).await.unwrap().len() == 2);
}

#[tokio::test]
async fn what_happens_is_published_and_nothing_personal() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let patch = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    patch.header("x-canary", "true").json(&json!({"name": "Lovelace"})).send().await.expect(StatusCode::OK);
    let patch = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    patch.raw_json("{}").send().await.expect(StatusCode::OK);
    app.register("eve@example.com").await;
    let mut events = app.published(3).await;
    events.retain(|event| event.key == ada.id);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.carrier.canary)).collect();
    assert_eq!(kinds, [("user.registered.v1", false), ("user.updated.v1", true)]);
    for event in events {
        assert_eq!(event.decode::<Value>().unwrap(), json!({ "user_id": ada.id }));
        assert_eq!(event.source, "user");
    }
}

/// What is published of an account that this happens to.
fn published(event: DomainEvent) -> Event {
    let (email, name) = (Email::parse("a@b.co").unwrap(), Name::parse("Ada").unwrap());
    let mut account = Account::register(UserId(Uuid::nil()), email, name, NOW);
    account.disabled_at = (event == DomainEvent::Disabled).then_some(NOW);
    let effects = match event {
        DomainEvent::Disabled | DomainEvent::Enabled => published::standing(&account, NOW),
        event => published::effects(event, account.id, NOW),
    };
    effects.unwrap().events.remove(0)
}

#[test]
fn every_event_has_a_schema() {
    for event in DomainEvent::ALL {
        let path = format!("{}/../../proto/events/{}.json", env!("CARGO_MANIFEST_DIR"), event.kind());
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let published = published(event);
        assert_eq!((published.kind.as_str(), &schema["title"]), (event.kind(), &json!(event.kind())));
        let data: Value = published.decode().unwrap();
        let members: Vec<_> = data.as_object().unwrap().keys().collect();
        assert_eq!(json!(members), schema["required"]);
        assert_eq!(members, schema["properties"].as_object().unwrap().keys().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_stale_cached_account_is_invalidated_by_the_event_of_its_change() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let before = app.me(&ada).await.body["name"].clone();
    // As a process does that is killed between its commit and the cache.
    let database = sqlite::open(&app.config.database.url, &user::adapters::sqlite::MIGRATIONS).await.unwrap();
    sqlx::query("UPDATE users SET name = 'Lovelace', revision = revision + 1").execute(&database.write).await.unwrap();
    assert_eq!(app.me(&ada).await.body["name"], before, "cached");
    let event = Event::new("user.updated.v1", "user", &ada.id, clock::system().now(), json!({})).unwrap();
    app.bus.publish(&[event]).await.unwrap();
    testkit::eventually!(app.me(&ada).await.body["name"] == "Lovelace");
}
