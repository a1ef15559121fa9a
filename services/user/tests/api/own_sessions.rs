//! `/v1/users/me/sessions`: one's own sessions, listed and revoked.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::ManualClock;

use crate::app::{Person, TestApp};

async fn list(app: &TestApp, person: &Person, query: &str) -> Value {
    let request = app.get(&format!("/v1/users/me/sessions{query}")).bearer(&person.access);
    request.send().await.expect(StatusCode::OK).body
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
}

async fn revoke(app: &TestApp, person: &Person, id: &str) -> testkit::http::TestResponse {
    app.delete(&format!("/v1/users/me/sessions/{id}")).bearer(&person.access).send().await
}

#[tokio::test]
async fn ones_own_sessions_are_listed_and_say_nothing_of_places() {
    let clock = ManualClock::at_now();
    let app = TestApp::at(clock.shared(), &[]).await;
    let ada = app.person("ada@example.com").await;
    app.person("eve@example.com").await;
    clock.advance(Duration::from_mins(1));
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
    let other = app.log_in("ada@example.com").await;
    let sessions = list(&app, &ada, "").await;
    let [younger, own] = sessions["items"].as_array().unwrap().as_slice() else { panic!("{sessions}") };
    assert_eq!((&younger["current"], &own["current"]), (&json!(false), &json!(true)));
    assert!(own["created_at"].as_str() < own["last_used_at"].as_str(), "{own}");
    assert_eq!(own["last_used_at"], younger["created_at"]);
    let mut names: Vec<_> = own.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["created_at", "current", "expires_at", "id", "last_used_at"]);
    assert_eq!(list(&app, &other, "").await["items"][0]["current"], true);
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for _ in 0..2 {
        app.log_in("ada@example.com").await;
    }
    let all = list(&app, &ada, "").await;
    let first = list(&app, &ada, "?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = list(&app, &ada, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!([ids(&first), ids(&second)].concat(), ids(&all));
    assert_eq!((&second["next_cursor"], &all["next_cursor"]), (&Value::Null, &Value::Null));
    let bad = |query: &str| app.get(&format!("/v1/users/me/sessions{query}")).bearer(&ada.access).send();
    // The second is a cursor of another list.
    for query in ["?limit=0", "?cursor=MVRFQS0x", "?page=2"] {
        bad(query).await.problem(400);
    }
    app.get("/v1/users/me/sessions").send().await.problem(401);
}

#[tokio::test]
async fn any_of_ones_own_sessions_is_revoked_and_nobody_elses() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let lost = app.log_in("ada@example.com").await;
    let sessions = list(&app, &lost, "").await;
    let (lost_id, own_id) = (ids(&sessions)[0], ids(&sessions)[1]);
    revoke(&app, &eve, lost_id).await.problem(404);
    app.refresh(&lost.refresh).await.expect(StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(revoke(&app, &ada, lost_id).await.status, StatusCode::NO_CONTENT);
    }
    app.refresh(&lost.refresh).await.problem(401);
    assert_eq!(ids(&list(&app, &ada, "").await), [own_id]);
    for unknown in [uuid::Uuid::now_v7().to_string(), "1".to_owned()] {
        revoke(&app, &ada, &unknown).await.problem(404);
    }
    app.refresh(&ada.refresh).await.expect(StatusCode::OK);
}
