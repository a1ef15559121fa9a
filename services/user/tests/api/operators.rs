//! What operators do to accounts, and the trail of it.

use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::http::TestResponse;

use crate::app::{PASSWORD, Person, TestApp, faults_in};

/// Has an operator disable or enable an account.
pub(crate) async fn switch(app: &TestApp, by: &Person, id: &str, verb: &str) -> TestResponse {
    let request = app.post(&format!("/v1/users/{id}/{verb}")).bearer(&by.access);
    request.json(&json!({"reason": format!("{verb} it")})).send().await
}

async fn trail(app: &TestApp, by: &Person, query: &str) -> Value {
    app.get(&format!("/v1/audit{query}")).bearer(&by.access).send().await.expect(StatusCode::OK).body
}

/// Who did what to whom and why, youngest first.
fn told(trail: &Value) -> Vec<[&Value; 4]> {
    let items = trail["items"].as_array().unwrap().iter();
    items.map(|entry| ["actor_id", "action", "user_id", "detail"].map(|key| &entry[key])).collect()
}

#[tokio::test]
async fn a_disabled_account_lets_nobody_in_until_it_is_enabled() {
    let app = TestApp::start().await;
    let (ada, olga) = (app.person("ada@example.com").await, app.operator("olga@example.com").await);
    let disabled = switch(&app, &olga, &ada.id, "disable").await.expect(StatusCode::OK);
    assert_eq!((disabled.etag(), disabled.body["status"].as_str()), ("\"2\"", Some("active")));
    assert!(disabled.body["disabled_at"].as_str().unwrap().ends_with('Z'));
    let again = switch(&app, &olga, &ada.id, "disable").await.expect(StatusCode::OK);
    assert_eq!(again.body, disabled.body);

    let login = app.try_log_in("ada@example.com", PASSWORD).await;
    login.problem(401);
    let wrong = app.try_log_in("ada@example.com", "wrong").await;
    assert_eq!(login.without_instance(), wrong.without_instance());
    app.refresh(&ada.refresh).await.problem(401);
    assert_eq!(app.me(&ada).await.body, disabled.body, "its access token may read");
    let rename = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    rename.json(&json!({"name": "Eve"})).send().await.problem(403);
    let password = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    app.post("/v1/users/me/password").bearer(&ada.access).json(&password).send().await.problem(403);
    let close = app.delete("/v1/users/me").bearer(&ada.access).json(&json!({"current_password": PASSWORD}));
    assert!(close.send().await.problem(403).body["type"].as_str().unwrap().ends_with("/account-disabled"));

    let enabled = switch(&app, &olga, &ada.id, "enable").await.expect(StatusCode::OK);
    assert_eq!((enabled.etag(), enabled.body.get("disabled_at")), ("\"3\"", None));
    app.refresh(&ada.refresh).await.problem(401);
    app.log_in("ada@example.com").await;
    let mut events = app.published(4).await;
    events.retain(|event| event.key == ada.id && event.kind != "user.registered.v1");
    let told: Vec<_> = events.iter().map(|event| (event.kind.as_str(), event.decode::<Value>().unwrap())).collect();
    let version = |version: u64| json!({"user_id": ada.id, "version": version});
    assert_eq!(told, [("user.disabled.v1", version(2)), ("user.enabled.v1", version(3))]);
}

#[tokio::test]
async fn only_operators_do_so_and_say_why() {
    let app = TestApp::start().await;
    let (ada, olga) = (app.person("ada@example.com").await, app.operator("olga@example.com").await);
    for verb in ["disable", "enable"] {
        switch(&app, &ada, &olga.id, verb).await.problem(403);
        switch(&app, &olga, &uuid::Uuid::now_v7().to_string(), verb).await.problem(404);
        switch(&app, &olga, "1", verb).await.problem(404);
        let path = format!("/v1/users/{}/{verb}", ada.id);
        app.post(&path).send().await.problem(401);
        app.post(&path).bearer(&olga.access).send().await.problem(415);
        for body in [json!({}), json!({"reason": " "}), json!({"reason": "x".repeat(501)})] {
            let refused = app.post(&path).bearer(&olga.access).json(&body).send().await;
            assert_eq!(faults_in("pointer", refused.problem(422)), ["/reason"], "{body}");
        }
    }
    app.get("/v1/audit").bearer(&ada.access).send().await.problem(403);
    app.get("/v1/audit").send().await.problem(401);
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    assert_eq!(told(&trail(&app, &olga, "").await).len(), 1, "nothing was done but the grant");
}

#[tokio::test]
async fn a_disabled_operator_does_nothing_more_and_reads_nobody_else() {
    let app = TestApp::start().await;
    let (olga, otto) = (app.operator("olga@example.com").await, app.operator("otto@example.com").await);
    switch(&app, &olga, &otto.id, "disable").await.expect(StatusCode::OK);
    switch(&app, &otto, &olga.id, "disable").await.problem(403);
    let read = async |path: String| app.get(&path).bearer(&otto.access).send().await;
    read("/v1/audit".to_owned()).await.problem(403);
    read(format!("/v1/users/{}", olga.id)).await.problem(403);
    read(format!("/v1/users/{}", otto.id)).await.expect(StatusCode::OK);
}

/// Otherwise nobody might be left who can enable anybody.
#[tokio::test]
async fn operators_do_not_disable_themselves() {
    let app = TestApp::start().await;
    let olga = app.operator("olga@example.com").await;
    for verb in ["disable", "enable"] {
        let refused = switch(&app, &olga, &olga.id, verb).await;
        assert!(refused.problem(403).body["type"].as_str().unwrap().ends_with("/own-account"));
    }
    app.refresh(&olga.refresh).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_operators_do_is_told_youngest_first() {
    let app = TestApp::start().await;
    let (ada, olga) = (app.person("ada@example.com").await, app.operator("olga@example.com").await);
    for verb in ["disable", "disable", "enable"] {
        switch(&app, &olga, &ada.id, verb).await.expect(StatusCode::OK);
    }
    for _ in 0..2 {
        user::wiring::rotate_keys(&app.config, clock::system()).await.unwrap();
    }
    let all = trail(&app, &olga, "").await;
    let (ada_id, olga_id, null) = (json!(ada.id), json!(olga.id), Value::Null);
    let expected = [
        [&null, &json!("rotate_keys"), &null, &null],
        [&olga_id, &json!("enable"), &ada_id, &json!("enable it")],
        [&olga_id, &json!("disable"), &ada_id, &json!("disable it")],
        [&null, &json!("grant"), &olga_id, &json!("operator")],
    ];
    assert_eq!(told(&all), expected, "what changed nothing is not among it");
    let first = trail(&app, &olga, "?limit=3").await;
    let second = trail(&app, &olga, &format!("?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!([told(&first), told(&second)].concat(), expected);
    assert_eq!(second["next_cursor"], Value::Null);
    for query in ["?limit=0", "?cursor=MVRFQS0x", "?user_id=1"] {
        app.get(&format!("/v1/audit{query}")).bearer(&olga.access).send().await.problem(400);
    }
}
