//! No secret and nothing personal in logs.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;
use serde_json::json;
use testkit::SmtpServer;
use tracing_subscriber::fmt::MakeWriter;

use user::{
    adapters::log_mail::LogMail,
    app::ports::{Content, Letter, Mails as _},
    domain::{Email, MailPurpose, UserId},
};

use crate::{
    app::{PASSWORD, TestApp},
    order_stand_in::OrderStandIn,
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_that_is_logged_gives_anybody_away() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (_order, url) = OrderStandIn::start(0, 0).await;
    let (server, mail) = SmtpServer::start().await;
    server.set_answers(&["550 <lovelace@example.com>: no such mailbox"]);
    let app = TestApp::with(&[("ORDER__URL", &url), ("MAIL__URL", &mail)]).await;
    app.register("lovelace@example.com").await;
    server.dialogues(1).await;
    app.post("/v1/password-resets").json(&json!({"email": "lovelace@example.com"})).send().await;
    let mailed = server.mails_to("lovelace@example.com", 1).await.remove(0).token();
    let reset = json!({"token": mailed, "new_password": PASSWORD});
    app.post("/v1/password-resets/complete").json(&reset).send().await.expect(StatusCode::NO_CONTENT);
    let ada = app.log_in("lovelace@example.com").await;
    app.try_log_in(&ada.email, "a wrong password").await.problem(401);
    let next = app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    let access = app.log_in("lovelace@example.com").await.access;
    let last = app.refresh(next.text("refresh_token")).await.expect(StatusCode::OK);
    app.refresh(&ada.refresh).await.problem(401);
    let patch = app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*");
    patch.json(&json!({"name": "Countess"})).send().await.expect(StatusCode::OK);
    let taken = json!({"email": "lovelace@example.com", "name": "Impostor", "password": PASSWORD});
    app.post("/v1/users").json(&taken).send().await.problem(409);
    let change = json!({"current_password": PASSWORD, "new_password": "battery staple"});
    app.post("/v1/users/me/password").bearer(&access).json(&change).send().await.expect(StatusCode::NO_CONTENT);
    let password = json!({"current_password": "battery staple"});
    app.delete("/v1/users/me").bearer(&ada.access).json(&password).send().await.expect(StatusCode::ACCEPTED);
    testkit::eventually!(app.me(&ada).await.body["status"] == "closed");

    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains(&ada.id), "something was logged");
    let secrets = [
        PASSWORD,
        "battery staple",
        "a wrong password",
        "lovelace",
        "Countess",
        "Impostor",
        "argon2id",
        crate::app::SECRET,
    ];
    let tokens = [&next, &last].map(|pair| [pair.text("access_token"), pair.text("refresh_token")]).concat();
    for secret in secrets.into_iter().chain([ada.access.as_str(), &ada.refresh, &access, &mailed]).chain(tokens) {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test]
async fn that_no_mail_is_sent_is_said_at_the_start() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(lines.clone()).finish());
    for (url, warning) in
        [("log:", "no mail is sent"), ("log:?show=token", "whoever reads this log can take over every account")]
    {
        lines.0.lock().unwrap().clear();
        TestApp::with(&[("MAIL__URL", url)]).await;
        let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(logged.lines().any(|line| line.contains(warning) && line.contains("WARN")), "{logged}");
    }
}

#[tokio::test]
async fn mail_in_the_log_shows_a_token_only_where_that_was_said() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (user, to) = (UserId(uuid::Uuid::now_v7()), Email::parse("lovelace@example.com").unwrap());
    let token = "T".repeat(43);
    let content = Content::Token(MailPurpose::ResetPassword, token.clone());
    let letter = Letter { id: uuid::Uuid::now_v7(), user, to, content };
    for (url, shown) in [("log:", false), ("log:?show=token", true)] {
        lines.0.lock().unwrap().clear();
        LogMail::open(url).unwrap().send(&letter).await.unwrap();
        let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains(&user.to_string()) && logged.contains("reset_password"), "{logged}");
        assert_eq!((logged.contains(&token), logged.contains("lovelace")), (shown, false), "{url}: {logged}");
    }
    assert!(LogMail::open("log:?show=all").is_none());
    assert!(!format!("{letter:?}").contains("TTT") && !format!("{letter:?}").contains("lovelace"));
}
