//! Whatever comes as a token of a mail or as a cursor: it is refused, and nothing breaks.

use std::time::{Duration, Instant};

use axum::http::{StatusCode, Uri};
use chassis::http::Page;
use proptest::{collection::vec, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::json;
use uuid::Uuid;

use crate::app::TestApp;

/// What one request may take, on a machine that has a lot to do.
const TIME: Duration = Duration::from_secs(5);

fn some<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[tokio::test]
async fn a_token_that_was_not_mailed_does_nothing() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await;
    let text = prop_oneof!["\\PC{0,100}", "[A-Za-z0-9_-]{43}", vec(any::<char>(), 0..200).prop_map(String::from_iter)];
    let huge = "A".repeat(1_000_000);
    for token in some(text, 100).into_iter().chain([huge]) {
        let begun = Instant::now();
        let bodies = [
            ("/v1/email-verifications", json!({"token": token})),
            ("/v1/password-resets/complete", json!({"token": token, "new_password": "battery staple"})),
        ];
        for (path, body) in bodies {
            app.post(path).json(&body).send().await.problem(422);
        }
        assert!(begun.elapsed() < TIME, "{:?} for {token}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_malformed() {
    let app = TestApp::start().await;
    let olga = app.operator("olga@example.com").await;
    let encoded = |bytes: Vec<u8>| bytes.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let cursor = prop_oneof![
        vec(any::<u8>(), 1..60).prop_map(encoded),
        "[A-Za-z0-9_%{}:-]{1,60}",
        "\\PC{0,40}".prop_map(|text| Page::seal(&text)),
        vec(any::<u8>(), 0..60).prop_map(|bytes| Page::seal(&String::from_utf8_lossy(&bytes))),
        any::<u128>().prop_map(|id| Page::seal(&Uuid::from_u128(id).to_string())),
        any::<u128>().prop_map(|id| Page::seal(&Uuid::from_u128(id).urn().to_string())),
    ];
    let of_ours = some(cursor, 100).into_iter().chain(["A".repeat(10_000)]);
    for cursor in of_ours {
        let begun = Instant::now();
        for path in ["/v1/audit", "/v1/users/me/sessions"] {
            // What has no form of a URI is refused before: by the server, and here by the client.
            let Ok(uri) = format!("{path}?cursor={cursor}").parse::<Uri>() else { continue };
            let answer = app.get(&uri.to_string()).bearer(&olga.access).send().await;
            let position = Page::open(&cursor);
            let is_ours = position.is_some_and(|text| Uuid::try_parse(&text).is_ok_and(|id| id.to_string() == text));
            let expected = if is_ours { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            assert_eq!(answer.status, expected, "{cursor}");
        }
        assert!(begun.elapsed() < TIME, "{:?} for {cursor}", begun.elapsed());
    }
}
