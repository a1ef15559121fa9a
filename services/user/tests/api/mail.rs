//! What is done by mail: an address is confirmed, a forgotten password replaced.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::{ManualClock, SmtpServer, http::TestResponse};

use crate::app::{PASSWORD, Person, TestApp, faults_in};

const ADA: &str = "ada@example.com";
const NEW: &str = "battery staple";

async fn start() -> (TestApp, SmtpServer) {
    let (server, url) = SmtpServer::start().await;
    (TestApp::with(&[("MAIL__URL", &url)]).await, server)
}

async fn post(app: &TestApp, path: &str, body: Value) -> TestResponse {
    app.post(path).json(&body).send().await
}

async fn ask_for_reset(app: &TestApp, email: &str) -> TestResponse {
    post(app, "/v1/password-resets", json!({"email": email})).await
}

async fn reset(app: &TestApp, token: &str, password: &str) -> TestResponse {
    post(app, "/v1/password-resets/complete", json!({"token": token, "new_password": password})).await
}

async fn verify(app: &TestApp, token: &str) -> TestResponse {
    post(app, "/v1/email-verifications", json!({"token": token})).await
}

async fn verified_at(app: &TestApp, person: &Person) -> Value {
    let request = app.get("/v1/users/me/email-verification").bearer(&person.access);
    request.send().await.expect(StatusCode::OK).body["verified_at"].clone()
}

#[tokio::test]
async fn an_address_is_confirmed_by_the_mail_that_it_gets() {
    let (app, server) = start().await;
    let ada = app.person(ADA).await;
    assert_eq!(verified_at(&app, &ada).await, Value::Null);
    let mail = server.mails_to(ADA, 1).await.remove(0);
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("no-reply@localhost", ADA));
    assert!(mail.content.contains("Subject: Confirm your address"), "{mail:?}");
    let token = mail.token();
    reset(&app, &token, NEW).await.problem(422);
    let done = verify(&app, &token).await;
    assert_eq!((done.status, done.bytes.len()), (StatusCode::NO_CONTENT, 0));
    assert_ne!(verified_at(&app, &ada).await, Value::Null);
    assert_eq!(faults_in("pointer", verify(&app, &token).await.problem(422)), ["/token"], "it is good once");
    assert_eq!(app.me(&ada).await.body["version"], 1);

    let change = json!({"email": "lovelace@example.com", "current_password": PASSWORD});
    let patch = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*").json(&change);
    patch.send().await.expect(StatusCode::OK);
    assert_eq!(verified_at(&app, &ada).await, Value::Null, "another address is not");
    let token = server.mails_to("lovelace@example.com", 1).await.remove(0).token();
    verify(&app, &token).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_mail_may_be_asked_for_again_and_the_last_one_counts() {
    let (app, server) = start().await;
    let ada = app.person(ADA).await;
    let ask = || app.post("/v1/users/me/email-verification").bearer(&ada.access).send();
    server.mails_to(ADA, 1).await;
    ask().await.expect(StatusCode::ACCEPTED);
    let mails = server.mails_to(ADA, 2).await;
    verify(&app, &mails[0].token()).await.problem(422);
    verify(&app, &mails[1].token()).await.expect(StatusCode::NO_CONTENT);
    ask().await.expect(StatusCode::ACCEPTED);
    let refused = ask().await;
    refused.problem(429);
    assert!(refused.headers.contains_key("retry-after"));
    app.post("/v1/users/me/email-verification").send().await.problem(401);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_everybody_logged_out() {
    let (app, server) = start().await;
    let ada = app.person(ADA).await;
    server.mails_to(ADA, 1).await;
    ask_for_reset(&app, "ADA@example.com").await.expect(StatusCode::ACCEPTED);
    let mail = server.mails_to(ADA, 2).await.pop().unwrap();
    assert!(mail.content.contains("Subject: Set another password"), "{mail:?}");
    let token = mail.token();
    verify(&app, &token).await.problem(422);
    assert_eq!(faults_in("pointer", reset(&app, &token, "short").await.problem(422)), ["/new_password"]);
    assert_eq!(reset(&app, &token, NEW).await.status, StatusCode::NO_CONTENT);
    app.refresh(&ada.refresh).await.problem(401);
    app.try_log_in(ADA, PASSWORD).await.problem(401);
    app.try_log_in(ADA, NEW).await.expect(StatusCode::OK);
    assert_ne!(verified_at(&app, &ada).await, Value::Null, "whoever read the mail has the address");
    assert_eq!(faults_in("pointer", reset(&app, &token, "correct horse").await.problem(422)), ["/token"]);
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_another_password() {
    let (server, url) = SmtpServer::start().await;
    let clock = ManualClock::at_now();
    let app = TestApp::at(clock.shared(), &[("MAIL__URL", &url)]).await;
    app.register(ADA).await;
    server.mails_to(ADA, 1).await;
    ask_for_reset(&app, ADA).await.expect(StatusCode::ACCEPTED);
    let late = server.mails_to(ADA, 2).await.pop().unwrap().token();
    clock.advance(Duration::from_mins(30));
    reset(&app, &late, NEW).await.problem(422);

    ask_for_reset(&app, ADA).await.expect(StatusCode::ACCEPTED);
    let overtaken = server.mails_to(ADA, 3).await.pop().unwrap().token();
    let ada = app.log_in(ADA).await;
    let change = json!({"current_password": PASSWORD, "new_password": NEW});
    let changed = app.post("/v1/users/me/password").bearer(&ada.access).json(&change).send().await;
    changed.expect(StatusCode::NO_CONTENT);
    reset(&app, &overtaken, "correct horse").await.problem(422);
}

/// The answer is the same whoever has an account, and nothing that takes time is done before it.
#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let (app, server) = start().await;
    app.register(ADA).await;
    server.mails_to(ADA, 1).await;
    let known = ask_for_reset(&app, ADA).await;
    for nobody in ["eve@example.com", "no address", ""] {
        let unknown = ask_for_reset(&app, nobody).await;
        assert_eq!((unknown.status, &unknown.bytes), (known.status, &known.bytes), "{nobody}");
        let names = |response: &TestResponse| response.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&unknown), names(&known));
    }
    assert_eq!(known.status, StatusCode::ACCEPTED);
    let statuses = async |email: &str| {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(ask_for_reset(&app, email).await.status.as_u16());
        }
        statuses
    };
    assert_eq!((statuses(ADA).await, statuses("eve@example.com").await), (vec![202, 202, 429], vec![202, 202, 429]));
    server.mails_to(ADA, 4).await;
    assert!(server.mails().iter().all(|mail| mail.to == ADA), "{:?}", server.mails());
}

#[tokio::test]
async fn requests_are_refused_by_field() {
    let (app, _server) = start().await;
    for (path, body, at_fault) in [
        ("/v1/password-resets", json!({}), "/email"),
        ("/v1/password-resets", json!({"email": 1}), "/email"),
        ("/v1/password-resets", json!({"email": "a@b.co", "x": 1}), "/x"),
        ("/v1/password-resets/complete", json!({"new_password": NEW}), "/token"),
        ("/v1/password-resets/complete", json!({"token": "x", "new_password": NEW}), "/token"),
        ("/v1/email-verifications", json!({"token": ""}), "/token"),
        ("/v1/email-verifications", json!({"token": null}), "/token"),
    ] {
        assert_eq!(faults_in("pointer", post(&app, path, body).await.problem(422)), [at_fault], "{path}");
    }
}

/// With the account and the password, any address may be written into it.
#[tokio::test]
async fn whoever_changes_addresses_floods_no_mailbox() {
    let (app, server) = start().await;
    let eve = app.person("eve@example.com").await;
    let patch = async |email: &str| {
        let change = json!({"email": email, "current_password": PASSWORD});
        let request = app.patch("/v1/users/me").bearer(&eve.access).header("if-match", "*");
        request.json(&change).send().await.expect(StatusCode::OK)
    };
    for _ in 0..3 {
        patch("eve@example.com").await;
        patch(ADA).await;
    }
    app.post("/v1/users/me/email-verification").bearer(&eve.access).send().await.problem(429);
    server.mails_to(ADA, 1).await;
}

#[tokio::test]
async fn whoever_opens_accounts_has_no_mail_sent_without_end() {
    let (_server, url) = SmtpServer::start().await;
    let app = TestApp::with(&[("MAIL__URL", &url), ("LIMITS__TRUSTED_PROXIES", "1")]).await;
    let ask = async |from: &str| {
        app.post("/v1/password-resets").header("x-forwarded-for", from).json(&json!({"email": ADA})).send().await
    };
    for n in 0..30 {
        let body = json!({"email": format!("{n}@example.com"), "name": "Eve", "password": PASSWORD});
        let request = app.post("/v1/users").header("x-forwarded-for", "192.0.2.1").json(&body);
        request.send().await.expect(StatusCode::CREATED);
    }
    ask("192.0.2.1").await.problem(429);
    ask("192.0.2.2").await.expect(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn mail_that_the_server_takes_later_is_tried_again() {
    let (app, server) = start().await;
    server.set_answers(&["451 later", "421 busy"]);
    app.register(ADA).await;
    server.mails_to(ADA, 1).await;
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_unless_that_was_said() {
    let (server, url) = SmtpServer::start().await;
    let app = TestApp::with(&[("MAIL__URL", url.trim_end_matches("?tls=none"))]).await;
    app.register(ADA).await;
    // The server does not offer STARTTLS.
    for said in server.dialogues(1).await {
        assert!(said[0].starts_with("EHLO"), "{said:?}");
        assert!(said.iter().all(|line| !line.starts_with("MAIL") && !line.contains(ADA)), "{said:?}");
    }
}
