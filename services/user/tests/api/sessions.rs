//! `/v1/sessions`: logging in, going on, logging out.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use testkit::ManualClock;

use crate::service::{PASSWORD, Service};

#[tokio::test]
async fn a_login_gives_tokens() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    let answer = service.try_log_in("Ada@Example.com", PASSWORD).await.expect(StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let keys: Vec<_> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 600);
    assert_eq!(answer.body["access_token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(answer.body["refresh_token"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn a_login_is_refused_in_the_same_words_whatever_is_wrong() {
    let service = Service::start().await;
    service.register("ada@example.com").await;
    let wrong = service.try_log_in("ada@example.com", "wrong").await;
    wrong.refused(401);
    let long = "x".repeat(1000);
    for (email, password) in
        [("eve@example.com", PASSWORD), ("no address", PASSWORD), ("", ""), ("ada@example.com", long.as_str())]
    {
        let answer = service.try_log_in(email, password).await;
        answer.refused(401);
        assert_eq!(answer.words(), wrong.words(), "{email}");
    }
}

#[tokio::test]
async fn bad_logins_are_refused_by_field() {
    let service = Service::start().await;
    let post = |body: &str| service.post("/v1/sessions").raw(body.to_owned()).send();
    let pointers = [json!({"pointer": "/email"}), json!({"pointer": "/password"})];
    assert_eq!(post("{}").await.refused(422), pointers);
    assert_eq!(post(r#"{"email":1,"password":null}"#).await.refused(422), pointers);
    let unknown = post(r#"{"email":"a@b.co","password":"x","otp":1}"#).await;
    assert_eq!(unknown.refused(422), [json!({"pointer": "/otp"})]);
    post("{").await.refused(400);
    let refresh = |body: &str| service.post("/v1/sessions/refresh").raw(body.to_owned()).send();
    assert_eq!(refresh("{}").await.refused(422), [json!({"pointer": "/refresh_token"})]);
    assert_eq!(refresh(r#"{"refresh_token":1}"#).await.refused(422), [json!({"pointer": "/refresh_token"})]);
    refresh("").await.refused(400);
    service.post("/v1/sessions/refresh").send().await.refused(415);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
    let other = service.log_in("ada@example.com").await;
    let next = service.refresh(&ada.refresh).await.expect(StatusCode::OK);
    assert_eq!(next.header("cache-control"), "no-store");
    let token = next.body["refresh_token"].as_str().unwrap();
    assert_ne!(token, ada.refresh);
    let again = service.refresh(token).await.expect(StatusCode::OK);
    service.refresh(&ada.refresh).await.refused(401);
    service.refresh(again.body["refresh_token"].as_str().unwrap()).await.refused(401);
    service.refresh(&other.refresh).await.expect(StatusCode::OK);
    let access = next.body["access_token"].as_str().unwrap();
    service.get("/v1/users/me").bearer(access).send().await.expect(StatusCode::OK);
    for unknown in ["", "x", &"A".repeat(43), &"ü".repeat(5000)] {
        service.refresh(unknown).await.refused(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_refreshes_at_once_one_wins() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
    let answers = futures::future::join_all((0..8).map(|_| service.refresh(&ada.refresh))).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count(), 7);
    service.refresh(won[0].body["refresh_token"].as_str().unwrap()).await.refused(401);
}

#[tokio::test]
async fn logging_out_ends_the_session_but_not_its_access_token() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
    let other = service.log_in("ada@example.com").await;
    for _ in 0..2 {
        let gone = service.delete("/v1/sessions/current").bearer(&ada.access).send().await;
        assert_eq!((gone.status, gone.length), (StatusCode::NO_CONTENT, 0));
    }
    service.refresh(&ada.refresh).await.refused(401);
    service.me(&ada).await;
    service.refresh(&other.refresh).await.expect(StatusCode::OK);
    service.delete("/v1/sessions/current").send().await.refused(401);
}

#[tokio::test]
async fn tokens_end() {
    let clock = ManualClock::at_now();
    let service = Service::at(clock.shared(), &[]).await;
    let ada = service.person("ada@example.com").await;
    clock.advance(Duration::from_secs(599));
    service.me(&ada).await;
    clock.advance(Duration::from_secs(1));
    service.get("/v1/users/me").bearer(&ada.access).send().await.refused(401);
    clock.advance(Duration::from_hours(24 * 30) - Duration::from_secs(601));
    let next = service.refresh(&ada.refresh).await.expect(StatusCode::OK);
    clock.advance(Duration::from_hours(24 * 30));
    service.refresh(next.body["refresh_token"].as_str().unwrap()).await.refused(401);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let service = Service::start().await;
    let ada = service.person("ada@example.com").await;
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
        service.get("/v1/users/me").bearer(&forged).send().await.refused(401);
    }
    service.get("/v1/users/me").header("authorization", "Basic YTpi").send().await.refused(401);
}

#[tokio::test]
async fn a_role_counts_from_the_next_token() {
    let service = Service::start().await;
    let (ada, eve) = (service.person("ada@example.com").await, service.person("eve@example.com").await);
    let email = user::domain::Email::parse("ADA@example.com").unwrap();
    user::wiring::grant(&service.config, &email, user::domain::Role::Operator).await.unwrap();
    let path = format!("/v1/users/{}", eve.id);
    service.get(&path).bearer(&ada.access).send().await.refused(404);
    let next = service.refresh(&ada.refresh).await.expect(StatusCode::OK);
    let access = next.body["access_token"].as_str().unwrap();
    service.get(&path).bearer(access).send().await.expect(StatusCode::OK);
    let nobody = user::domain::Email::parse("nobody@example.com").unwrap();
    assert!(user::wiring::grant(&service.config, &nobody, user::domain::Role::Operator).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_logins_at_once_are_refused_and_not_queued() {
    let keys = [
        ("PASSWORDS__MEMORY_KIB", "8192"),
        ("PASSWORDS__PASSES", "10"),
        ("PASSWORDS__PARALLEL", "1"),
        ("PASSWORDS__QUEUE", "1"),
    ];
    let service = Service::with(&keys).await;
    let tries = (0..8).map(|_| service.try_log_in("ada@example.com", PASSWORD));
    let answers = futures::future::join_all(tries).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(!refused.is_empty() && refused.len() <= 6);
    refused[0].refused(503);
    assert_eq!(refused[0].header("retry-after"), "1");
    service.try_log_in("ada@example.com", PASSWORD).await.refused(401);
}
