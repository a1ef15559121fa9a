//! The interface as a whole: its description.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::{PASSWORD, Person, TestApp};

#[tokio::test]
async fn the_committed_description_is_this_one() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").send().await.expect(StatusCode::OK);
    testkit::committed("docs/openapi/user.json", std::str::from_utf8(&document.bytes).unwrap());
    let text = document.body["paths"].to_string();
    assert!(!text.contains("x-problems"), "a list of problems was not read");
}

/// What is described is what is answered: no member more, none less.
#[tokio::test]
async fn answers_have_the_described_members() {
    let app = TestApp::start().await;
    let (ada, olga) = (app.person("ada@example.com").await, app.operator("olga@example.com").await);
    let tokens = app.try_log_in("ada@example.com", PASSWORD).await.body;
    let disable = app.post(&format!("/v1/users/{}/disable", ada.id)).bearer(&olga.access);
    disable.json(&json!({"reason": "to see all members"})).send().await.expect(StatusCode::OK);
    let read =
        async |by: &Person, path: &str| app.get(path).bearer(&by.access).send().await.expect(StatusCode::OK).body;
    let described = app.get("/openapi.json").send().await.body["components"]["schemas"].clone();
    for (name, document) in [
        ("Tokens", &tokens),
        ("User", &read(&ada, "/v1/users/me").await),
        ("EmailVerification", &read(&ada, "/v1/users/me/email-verification").await),
        ("Session", &read(&olga, "/v1/users/me/sessions").await["items"][0]),
        ("AuditEntry", &read(&olga, "/v1/audit").await["items"][0]),
        ("PublicKey", &read(&olga, "/.well-known/jwks.json").await["keys"][0]),
    ] {
        let members = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&described[name]["properties"]), members(document), "{name}");
    }
}
