//! `/v1/sessions`: logging in, going on, logging out.

use std::time::Duration;

use axum::http::StatusCode;
use testkit::ManualClock;

use crate::app::{PASSWORD, TestApp, faults_in};

#[tokio::test]
async fn a_login_gives_tokens() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await;
    let response = app.try_log_in("Ada@Example.com", PASSWORD).await.expect(StatusCode::OK);
    assert_eq!(response.header("cache-control"), "no-store");
    let keys: Vec<_> = response.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(response.body["token_type"], "Bearer");
    assert_eq!(response.body["expires_in"], 600);
    assert_eq!(response.body["access_token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(response.body["refresh_token"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn a_login_is_refused_in_the_same_words_whatever_is_wrong() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await;
    let wrong = app.try_log_in("ada@example.com", "wrong").await;
    wrong.problem(401);
    let long = "x".repeat(1000);
    for (email, password) in
        [("eve@example.com", PASSWORD), ("no address", PASSWORD), ("", ""), ("ada@example.com", long.as_str())]
    {
        let response = app.try_log_in(email, password).await;
        response.problem(401);
        assert_eq!(response.without_instance(), wrong.without_instance(), "{email}");
    }
}

#[tokio::test]
async fn bad_logins_are_refused_by_field() {
    let app = TestApp::start().await;
    let post = |body: &str| app.post("/v1/sessions").raw_json(body.to_owned()).send();
    let both = ["/email", "/password"];
    assert_eq!(faults_in("pointer", post("{}").await.problem(422)), both);
    assert_eq!(faults_in("pointer", post(r#"{"email":1,"password":null}"#).await.problem(422)), both);
    let unknown = post(r#"{"email":"a@b.co","password":"x","otp":1}"#).await;
    assert_eq!(faults_in("pointer", unknown.problem(422)), ["/otp"]);
    post("{").await.problem(400);
    let refresh = |body: &str| app.post("/v1/sessions/refresh").raw_json(body.to_owned()).send();
    for body in ["{}", r#"{"refresh_token":1}"#] {
        assert_eq!(faults_in("pointer", refresh(body).await.problem(422)), ["/refresh_token"]);
    }
    refresh("").await.problem(400);
    app.post("/v1/sessions/refresh").send().await.problem(415);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.log_in("ada@example.com").await;
    let next = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    assert_eq!(next.header("cache-control"), "no-store");
    let token = next.body["refresh_token"].as_str().unwrap();
    assert_ne!(token, ada.refresh);
    let again = app.refresh(token).await.expect(StatusCode::OK);
    app.refresh(&ada.refresh).await.problem(401);
    app.refresh(again.body["refresh_token"].as_str().unwrap()).await.problem(401);
    app.refresh(&other.refresh).await.expect(StatusCode::OK);
    let access = next.body["access_token"].as_str().unwrap();
    app.get("/v1/users/me").bearer(access).send().await.expect(StatusCode::OK);
    for unknown in ["", "x", &"A".repeat(43), &"ü".repeat(5000)] {
        app.refresh(unknown).await.problem(401);
    }
}

#[tokio::test]
async fn a_refresh_may_be_repeated_for_ten_seconds_as_long_as_nothing_came_of_it() {
    let clock = ManualClock::at_now();
    let app = TestApp::at(clock.shared(), &[]).await;
    let ada = app.person("ada@example.com").await;
    let first = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    clock.advance(Duration::from_secs(10));
    let lost = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    assert_eq!(lost.text("refresh_token"), first.text("refresh_token"));
    assert_ne!(lost.text("access_token"), first.text("access_token"));
    app.get("/v1/users/me").bearer(lost.text("access_token")).send().await.expect(StatusCode::OK);
    let next = app.refresh(first.text("refresh_token")).await.expect(StatusCode::OK);
    app.refresh(&ada.refresh).await.problem(401);
    app.refresh(next.text("refresh_token")).await.problem(401);

    let late = app.log_in("ada@example.com").await;
    let successor = app.refresh(&late.refresh).await.expect(StatusCode::OK);
    clock.advance(Duration::from_millis(10_001));
    app.refresh(&late.refresh).await.problem(401);
    app.refresh(successor.text("refresh_token")).await.problem(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_refreshes_at_once_all_have_the_same_successor() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let responses = futures::future::join_all((0..8).map(|_| app.refresh(&ada.refresh))).await;
    let tokens: Vec<_> = responses.iter().map(|response| response.text("refresh_token")).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    app.refresh(tokens[0]).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn logging_out_ends_the_session_but_not_its_access_token() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let other = app.log_in("ada@example.com").await;
    for _ in 0..2 {
        let gone = app.delete("/v1/sessions/current").bearer(&ada.access).send().await;
        assert_eq!((gone.status, gone.bytes.len()), (StatusCode::NO_CONTENT, 0));
    }
    app.refresh(&ada.refresh).await.problem(401);
    app.me(&ada).await;
    app.refresh(&other.refresh).await.expect(StatusCode::OK);
    app.delete("/v1/sessions/current").send().await.problem(401);
}

#[tokio::test]
async fn tokens_end() {
    let clock = ManualClock::at_now();
    let app = TestApp::at(clock.shared(), &[]).await;
    let ada = app.person("ada@example.com").await;
    clock.advance(Duration::from_secs(599));
    app.me(&ada).await;
    clock.advance(Duration::from_secs(1));
    app.get("/v1/users/me").bearer(&ada.access).send().await.problem(401);
    clock.advance(Duration::from_hours(24 * 30) - Duration::from_secs(601));
    let next = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    clock.advance(Duration::from_hours(24 * 30) - Duration::from_secs(1));
    let last = app.refresh(next.text("refresh_token")).await.expect(StatusCode::OK);
    clock.advance(Duration::from_hours(24 * 30));
    app.refresh(last.text("refresh_token")).await.problem(401);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let parts: Vec<_> = ada.access.split('.').collect();
    let none = "eyJhbGciOiJub25lIn0";
    let own = auth::Signer::from_pkcs8("own", &auth::Signer::generate_pkcs8().unwrap()).unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let claims = auth::Claims {
        iss: auth::ISSUER.to_owned(),
        aud: auth::AUDIENCE.to_owned(),
        sub: ada.id.parse().unwrap(),
        sid: uuid::Uuid::now_v7(),
        iat: now,
        exp: now + 600,
        jti: uuid::Uuid::now_v7(),
        role: auth::Role::Operator,
    };
    for forged in [
        String::new(),
        "x".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()),
        format!("{}.{}.", parts[0], parts[1]),
        own.sign(&claims).unwrap(),
    ] {
        app.get("/v1/users/me").bearer(&forged).send().await.problem(401);
    }
    app.get("/v1/users/me").header("authorization", "Basic YTpi").send().await.problem(401);
}

#[tokio::test]
async fn a_token_of_an_account_that_is_not_there_lets_nobody_in() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await;
    let tokens = app.try_log_in("ada@example.com", PASSWORD).await.expect(StatusCode::OK);
    // As after a backup was restored.
    let database = sqlite::open(&app.config.database.url, &user::adapters::sqlite::MIGRATIONS).await.unwrap();
    // At once: a mail may be on its way.
    let sql = "BEGIN IMMEDIATE; DELETE FROM mail_tokens; DELETE FROM refresh_tokens; DELETE FROM sessions; \
               DELETE FROM users; COMMIT";
    sqlx::raw_sql(sql).execute(&database.write).await.unwrap();
    app.get("/v1/users/me").bearer(tokens.text("access_token")).send().await.problem(401);
}

#[tokio::test]
async fn a_role_counts_from_the_next_token() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let email = user::domain::Email::parse("ADA@example.com").unwrap();
    user::wiring::grant(&app.config, &email, user::domain::Role::Operator).await.unwrap();
    let path = format!("/v1/users/{}", eve.id);
    app.get(&path).bearer(&ada.access).send().await.problem(404);
    let next = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    let access = next.body["access_token"].as_str().unwrap();
    app.get(&path).bearer(access).send().await.expect(StatusCode::OK);
    let nobody = user::domain::Email::parse("nobody@example.com").unwrap();
    assert!(user::wiring::grant(&app.config, &nobody, user::domain::Role::Operator).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_logins_at_once_are_refused_and_not_queued() {
    let keys = [
        ("PASSWORDS__MEMORY_KIB", "8192"),
        ("PASSWORDS__PASSES", "10"),
        ("PASSWORDS__PARALLEL", "1"),
        ("PASSWORDS__QUEUE", "1"),
    ];
    let app = TestApp::with(&keys).await;
    let tries = (0..8).map(|_| app.try_log_in("ada@example.com", PASSWORD));
    let responses = futures::future::join_all(tries).await;
    let refused: Vec<_> =
        responses.iter().filter(|response| response.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(!refused.is_empty() && refused.len() <= 6);
    refused[0].problem(503);
    assert_eq!(refused[0].header("retry-after"), "1");
    app.try_log_in("ada@example.com", PASSWORD).await.problem(401);
}
