//! `DELETE /v1/users/me`: closing an account, through order and back.

use std::time::{Duration, Instant};

use auth::{CREDENTIAL_HEADER, Callers};
use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::http::TestResponse;

use crate::{
    app::{PASSWORD, Person, SECRET, TestApp, credential, faults_in},
    order_stand_in::OrderStandIn,
};

async fn close(app: &TestApp, person: &Person) -> TestResponse {
    app.delete("/v1/users/me").bearer(&person.access).json(&password()).send().await
}

fn password() -> Value {
    json!({ "current_password": PASSWORD })
}

async fn closed(app: &TestApp, person: &Person) -> Value {
    testkit::eventually!(app.me(person).await.body["status"] == "closed");
    app.me(person).await.body
}

#[tokio::test]
async fn an_account_without_orders_closes_at_once() {
    let (order, url) = OrderStandIn::start(0, 0).await;
    let app = TestApp::with(&[("ORDER__URL", &url), ("CLOSING__POLL", "1h"), ("CLOSING__BACKOFF_MIN", "1h")]).await;
    let ada = app.person("ada@example.com").await;
    let response = close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    assert_eq!((response.etag(), response.body["status"].as_str()), ("\"2\"", Some("closing")));
    assert_eq!(response.body["email"], "ada@example.com");
    let (id, headers) = order.calls().remove(0);
    assert_eq!(id, ada.id);
    assert_eq!(Callers::new(SECRET, &["user"]).check(&headers).unwrap().name(), "user");
    let gone = closed(&app, &ada).await;
    assert_eq!((&gone["email"], &gone["name"], &gone["version"]), (&Value::Null, &Value::Null, &json!(3)));
    let again = close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    assert_eq!((again.etag(), &again.body), ("\"3\"", &gone));
    let mut events = app.published(2).await;
    let last = events.pop().unwrap();
    assert_eq!((last.kind.as_str(), last.key.as_str()), ("user.closed.v1", ada.id.as_str()));
    assert_eq!(last.decode::<Value>().unwrap(), json!({ "user_id": ada.id }));
    let new = app.person("ADA@example.com").await;
    assert_ne!(new.id, ada.id, "the address is free again");
}

#[tokio::test]
async fn tokens_of_a_closing_account_may_only_read_and_repeat_the_closing() {
    let (_order, url) = OrderStandIn::start(0, 1).await;
    let app = TestApp::with(&[("ORDER__URL", &url)]).await;
    let ada = app.person("ada@example.com").await;
    let wrong = app.try_log_in("ada@example.com", "wrong").await;
    let first = close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    let again = close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    assert_eq!((again.etag(), &again.body), (first.etag(), &first.body));
    assert_eq!(app.me(&ada).await.body, first.body);
    let login = app.try_log_in("ada@example.com", PASSWORD).await;
    login.problem(401);
    assert_eq!(login.without_instance(), wrong.without_instance());
    app.refresh(&ada.refresh).await.problem(401);
    app.delete("/v1/sessions/current").bearer(&ada.access).send().await.problem(403);
    // What is repeated changes nothing and needs no password.
    let again = app.delete("/v1/users/me").bearer(&ada.access).send().await.expect(StatusCode::ACCEPTED);
    assert_eq!(again.body, first.body);
    let change = app.post("/v1/users/me/password").bearer(&ada.access);
    change.raw_json("{").send().await.problem(403);
    // The role is asked before the header and the body are read.
    app.patch("/v1/users/me").bearer(&ada.access).raw_json("{").send().await.problem(403);
    let taken = json!({"email": "ada@example.com", "name": "Ada", "password": PASSWORD});
    app.post("/v1/users").json(&taken).send().await.problem(409);
}

#[tokio::test]
async fn a_closing_waits_for_open_orders_and_is_woken_by_their_end() {
    let (order, url) = OrderStandIn::start(0, 2).await;
    let keys = [
        ("ORDER__URL", url.as_str()),
        ("CLOSING__POLL", "1h"),
        ("CLOSING__BACKOFF_MIN", "1h"),
        ("CLOSING__BACKOFF_MAX", "1h"),
    ];
    let app = TestApp::with(&keys).await;
    let ada = app.person("ada@example.com").await;
    close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    let data = json!({"order_id": uuid::Uuid::now_v7(), "user_id": ada.id, "reason": "account_closed"});
    order.set_open(1);
    app.publish("order.cancelled.v1", &data).await;
    testkit::eventually!(order.calls().len() == 2);
    assert_eq!(app.me(&ada).await.body["status"], "closing");
    order.set_open(0);
    app.publish("order.rejected.v1", &data).await;
    closed(&app, &ada).await;
}

#[tokio::test]
async fn a_closing_is_asked_for_again_until_nothing_is_open() {
    let (order, url) = OrderStandIn::start(0, 1).await;
    let app = TestApp::with(&[("ORDER__URL", &url)]).await;
    let ada = app.person("ada@example.com").await;
    close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    testkit::eventually!(order.calls().len() >= 4);
    order.set_open(0);
    closed(&app, &ada).await;
    let calls = order.calls().len();
    close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    assert_eq!(order.calls().len(), calls, "it is finished");
}

#[tokio::test]
async fn an_answer_of_order_that_is_not_in_the_contract_closes_nothing() {
    let (order, url) = OrderStandIn::start(0, 0).await;
    order.set_failures(&[StatusCode::NOT_FOUND, StatusCode::ACCEPTED]);
    let app =
        TestApp::with(&[("ORDER__URL", &url), ("CLOSING__BACKOFF_MIN", "1h"), ("CLOSING__BACKOFF_MAX", "1h")]).await;
    for (address, calls) in [("ada@example.com", 1), ("eve@example.com", 2)] {
        let person = app.person(address).await;
        close(&app, &person).await.expect(StatusCode::ACCEPTED);
        assert_eq!((order.calls().len(), &app.me(&person).await.body["status"]), (calls, &json!("closing")));
    }
    let olga = app.person("olga@example.com").await;
    close(&app, &olga).await.expect(StatusCode::ACCEPTED);
    closed(&app, &olga).await;
    let audit = app.get("/internal/v1/audit").header(CREDENTIAL_HEADER, credential("trireme")).send().await;
    assert_eq!(audit.expect(StatusCode::OK).body["closing"], 2);
}

#[tokio::test]
async fn order_is_asked_again_while_the_owner_waits() {
    let (order, url) = OrderStandIn::start(0, 1).await;
    order.set_failures(&[StatusCode::SERVICE_UNAVAILABLE]);
    let keys = [
        ("ORDER__URL", url.as_str()),
        ("ORDER__CLIENT__RETRIES", "2"),
        ("CLOSING__AT_ONCE", "30s"),
        ("CLOSING__BACKOFF_MIN", "1h"),
        ("CLOSING__BACKOFF_MAX", "1h"),
    ];
    let app = TestApp::with(&keys).await;
    let ada = app.person("ada@example.com").await;
    close(&app, &ada).await.expect(StatusCode::ACCEPTED);
    assert_eq!(order.calls().len(), 2);
}

#[tokio::test]
async fn order_may_be_down_when_an_account_closes() {
    let port = testkit::free_port();
    let app = TestApp::with(&[("ORDER__URL", &format!("http://127.0.0.1:{port}"))]).await;
    let ada = app.person("ada@example.com").await;
    let started = Instant::now();
    let delete = app.delete("/v1/users/me").bearer(&ada.access).header("x-canary", "true");
    delete.json(&password()).send().await.expect(StatusCode::ACCEPTED);
    assert!(started.elapsed() < Duration::from_secs(2));
    let (order, _) = OrderStandIn::start(port, 0).await;
    closed(&app, &ada).await;
    let (id, headers) = order.calls().remove(0);
    assert_eq!((id, headers["x-canary"].to_str().unwrap()), (ada.id, "true"));
    let closed = app.published(2).await.pop().unwrap();
    assert!(closed.carrier.canary, "the mark of the request reaches the event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_at_the_same_time_closes_once() {
    let (_order, url) = OrderStandIn::start(0, 0).await;
    let app = TestApp::with(&[("ORDER__URL", &url)]).await;
    let ada = app.person("ada@example.com").await;
    for response in futures::future::join_all((0..8).map(|_| close(&app, &ada))).await {
        response.expect(StatusCode::ACCEPTED);
    }
    closed(&app, &ada).await;
    app.register("eve@example.com").await;
    let kinds: Vec<_> = app.published(3).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "user.closed.v1").count(), 1);
}

#[tokio::test]
async fn a_closing_honours_if_match() {
    let (_order, url) = OrderStandIn::start(0, 0).await;
    let app = TestApp::with(&[("ORDER__URL", &url)]).await;
    let ada = app.person("ada@example.com").await;
    let delete =
        |etag: &str| app.delete("/v1/users/me").bearer(&ada.access).header("if-match", etag).json(&password()).send();
    delete("\"2\"").await.problem(412);
    delete("W/\"1\"").await.problem(412);
    assert_eq!(faults_in("header", delete("1").await.problem(400)), ["If-Match"]);
    assert_eq!(app.me(&ada).await.body["status"], "active");
    delete("\"1\"").await.expect(StatusCode::ACCEPTED);
    app.delete("/v1/users/me").send().await.problem(401);
}
