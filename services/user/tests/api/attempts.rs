//! Whoever guesses passwords is slowed down, and keeps nobody else out.

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::json;
use testkit::http::TestResponse;

use crate::app::{PASSWORD, TestApp};

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "198.51.100.1";

async fn start() -> TestApp {
    TestApp::with(&[("LIMITS__TRUSTED_PROXIES", "1")]).await
}

async fn log_in(app: &TestApp, from: &str, email: &str, password: &str) -> TestResponse {
    let body = json!({"email": email, "password": password});
    app.post("/v1/sessions").header("x-forwarded-for", from).json(&body).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_one_account_ends_and_keeps_no_honest_person_out() {
    let app = start().await;
    app.register("ada@example.com").await;
    app.register("bob@example.com").await;
    let guesses = join_all((0..100).map(|_| log_in(&app, HERE, "ada@example.com", "wrong")));
    let honest = async {
        let mut statuses = Vec::new();
        for _ in 0..12 {
            statuses.push(log_in(&app, HERE, "bob@example.com", PASSWORD).await.status);
        }
        statuses
    };
    let (guesses, honest) = tokio::join!(guesses, honest);
    assert_eq!(honest, [StatusCode::OK; 12]);
    let count = |status| guesses.iter().filter(|guess| guess.status == status).count();
    assert_eq!((count(StatusCode::UNAUTHORIZED), count(StatusCode::TOO_MANY_REQUESTS)), (20, 80));

    let refused = log_in(&app, HERE, "Ada@Example.com", PASSWORD).await;
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    refused.problem(429);
    log_in(&app, ELSEWHERE, "ada@example.com", PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_many_accounts_from_one_address_ends() {
    let app = start().await;
    app.register("ada@example.com").await;
    let guess = |n: usize| {
        let app = &app;
        async move { log_in(app, HERE, &format!("{n}@example.com"), PASSWORD).await.status }
    };
    let guesses = join_all((0..80).map(guess)).await;
    assert_eq!(guesses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 60, "{guesses:?}");
    log_in(&app, HERE, "ada@example.com", PASSWORD).await.problem(429);
    log_in(&app, ELSEWHERE, "ada@example.com", PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_one_account_from_many_addresses_ends() {
    let app = start().await;
    app.register("ada@example.com").await;
    let guesses = join_all((0..60).map(|n| {
        let app = &app;
        async move { log_in(app, &format!("192.0.2.{n}"), "ada@example.com", "wrong").await.status }
    }));
    let guesses = guesses.await;
    assert_eq!(guesses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 40, "{guesses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_passwords_do_not_count() {
    let app = start().await;
    app.register("ada@example.com").await;
    for n in 0..40 {
        let password = if n % 10 == 9 { "wrong" } else { PASSWORD };
        let status = log_in(&app, HERE, "ada@example.com", password).await.status;
        assert_ne!(status, StatusCode::TOO_MANY_REQUESTS, "{n}");
    }
}
