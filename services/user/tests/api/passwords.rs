//! The current password, wherever an access token alone is not enough, and how it is changed.

use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::http::TestResponse;

use crate::app::{PASSWORD, Person, TestApp, faults_in};

const NEW: &str = "battery staple";

async fn change(app: &TestApp, person: &Person, body: Value) -> TestResponse {
    app.post("/v1/users/me/password").bearer(&person.access).json(&body).send().await
}

fn from(current: &str) -> Value {
    json!({"current_password": current, "new_password": NEW})
}

async fn patch_email(app: &TestApp, person: &Person, body: Value) -> TestResponse {
    app.patch("/v1/users/me").bearer(&person.access).header("if-match", "*").json(&body).send().await
}

#[tokio::test]
async fn a_password_is_changed_and_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (other, eve) = (app.log_in("ada@example.com").await, app.person("eve@example.com").await);
    let done = change(&app, &ada, from(PASSWORD)).await;
    assert_eq!((done.status, done.bytes.len()), (StatusCode::NO_CONTENT, 0));
    app.try_log_in("ada@example.com", PASSWORD).await.problem(401);
    app.try_log_in("ada@example.com", NEW).await.expect(StatusCode::OK);
    app.refresh(&other.refresh).await.problem(401);
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    app.refresh(&eve.refresh).await.expect(StatusCode::OK);
    assert_eq!(app.me(&ada).await.body["version"], 1, "what ETag shows is the same");
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.log_in("ada@example.com").await;
    let refused = change(&app, &ada, from("wrong")).await;
    assert_eq!(faults_in("pointer", refused.problem(403)), ["/current_password"]);
    for (body, at_fault) in [
        (json!({"new_password": NEW}), "/current_password"),
        (json!({"current_password": PASSWORD}), "/new_password"),
        (json!({"current_password": PASSWORD, "new_password": "short"}), "/new_password"),
        (json!({"current_password": 1, "new_password": NEW}), "/current_password"),
    ] {
        assert_eq!(faults_in("pointer", change(&app, &ada, body).await.problem(422)), [at_fault]);
    }
    app.post("/v1/users/me/password").json(&from(PASSWORD)).send().await.problem(401);
    app.post("/v1/users/me/password").bearer(&ada.access).send().await.problem(415);
    app.try_log_in("ada@example.com", PASSWORD).await.expect(StatusCode::OK);
    app.refresh(&other.refresh).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn another_address_needs_the_password_and_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.log_in("ada@example.com").await;
    for body in [
        json!({"email": "lovelace@example.com"}),
        json!({"email": "Ada@example.com"}),
        json!({"email": "lovelace@example.com", "current_password": "wrong"}),
        json!({"email": "lovelace@example.com", "current_password": ""}),
    ] {
        let refused = patch_email(&app, &ada, body).await;
        assert_eq!(faults_in("pointer", refused.problem(403)), ["/current_password"]);
    }
    let same = json!({"email": "ada@example.com", "name": "Ada L."});
    patch_email(&app, &ada, same).await.expect(StatusCode::OK);
    let other = app.refresh(&other.refresh).await.expect(StatusCode::OK);
    let body = json!({"email": "lovelace@example.com", "current_password": PASSWORD});
    let changed = patch_email(&app, &ada, body).await.expect(StatusCode::OK);
    assert_eq!(changed.body["email"], "lovelace@example.com");
    app.refresh(other.text("refresh_token")).await.problem(401);
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_account_is_closed_by_its_password_only() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let delete = || app.delete("/v1/users/me").bearer(&ada.access);
    for body in ["{}", r#"{"current_password":"wrong"}"#] {
        assert_eq!(faults_in("pointer", delete().raw_json(body).send().await.problem(403)), ["/current_password"]);
    }
    delete().send().await.problem(403);
    delete().raw_json("{").send().await.problem(400);
    delete().body("{}").send().await.problem(415);
    let unknown = delete().raw_json(r#"{"password":"x"}"#).send().await;
    assert_eq!(faults_in("pointer", unknown.problem(422)), ["/password"]);
    assert_eq!(app.me(&ada).await.body["status"], "active");
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    delete().json(&json!({"current_password": PASSWORD})).send().await.expect(StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_with_a_stolen_token_count_like_those_at_a_login() {
    let app = TestApp::with(&[("LIMITS__TRUSTED_PROXIES", "1")]).await;
    let ada = app.person("ada@example.com").await;
    let guess = |path: &str| app.post(path).bearer(&ada.access).header("x-forwarded-for", "192.0.2.1");
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(guess("/v1/users/me/password").json(&from("wrong")).send().await.status);
        let login = json!({"email": "ada@example.com", "password": "wrong"});
        statuses.push(guess("/v1/sessions").json(&login).send().await.status);
    }
    assert!(statuses.iter().all(|status| *status != StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    let refused = guess("/v1/users/me/password").json(&from(PASSWORD)).send().await;
    refused.problem(429);
    assert!(refused.headers.contains_key("retry-after"));
}
