//! The framework's own refusals, HEAD, CORS, conditional requests and the admin port.

use std::future::ready;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::extract::Request;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::http::{Id, IdempotencyKey, IfMatch, IfNoneMatch, Payload, resource};
use chassis::{Cors, Health, json};
use error::Error;
use serde_json::json;
use testkit::eventually;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uuid::Uuid;

use crate::support::{Server, app, config, post as send, request};

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
const TRACE: &str = "urn:trace:0af7651916cd43dd8448eb211c80319c";

async fn make(payload: Payload) -> Result<StatusCode, Error> {
    let body = payload.json().await?;
    body.read(|thing| thing.required("quantity", json::integer(Ok::<_, String>)))?;
    Ok(StatusCode::CREATED)
}

async fn show(id: Id<Uuid>, condition: IfNoneMatch) -> Response {
    condition.answer(3, || resource(StatusCode::OK, 3, &json!({"id": id.0})))
}

async fn change(_: Id<Uuid>, condition: IfMatch, payload: Payload) -> Result<Response, Error> {
    let condition = condition.required()?;
    payload.json().await?.read(|thing| thing.required("quantity", json::integer(Ok::<_, String>)))?;
    if !condition.matches(3) {
        return Err(Error::new(error::Problem::VersionMismatch, "it has changed"));
    }
    Ok(resource(StatusCode::OK, 4, &json!({})))
}

async fn command(_: IdempotencyKey) -> StatusCode {
    StatusCode::OK
}

fn router() -> Router {
    Router::new()
        .route("/v1/things", post(make).get(async |_: Request| Json(json!({"items": []}))))
        .route("/v1/things/{id}", get(show).patch(change))
        .route("/v1/commands", post(command))
        .route("/v1/secret", get(async || Error::internal(std::io::Error::other("password of the database is 1234"))))
        .route("/v1/me", get(async || Error::new(error::Problem::TokenMissing, "a bearer token is needed")))
}

async fn server() -> Server {
    Server::of(router()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_frameworks_own_refusals_have_documents() {
    let server = server().await;
    let missing = request(server.http, "GET /v1/nothing", PARENT).await;
    assert_eq!((missing.status, missing.problem()["instance"].as_str()), (404, Some(TRACE)));
    assert_eq!(missing.problem()["type"], "/problems/route-not-found");
    assert_eq!(request(server.http, "GET /v1/things/", "").await.problem()["status"], 404, "trailing slash");

    let wrong = request(server.http, "DELETE /v1/things", "").await;
    assert_eq!(
        (&wrong.problem()["status"], &wrong.problem()["type"]),
        (&405.into(), &"/problems/method-not-allowed".into())
    );
    let allowed = wrong.header("allow").unwrap();
    assert!(["GET", "HEAD", "POST"].iter().all(|method| allowed.contains(method)), "{allowed}");

    let id = Uuid::now_v7();
    for path in ["x", &id.simple().to_string(), "%FF", "%2e%2e", &format!("{id}%20")] {
        let response = request(server.http, &format!("GET /v1/things/{path}"), "").await;
        assert_eq!(response.problem()["type"], "/problems/not-found", "{path}");
    }
    assert_eq!(request(server.http, &format!("GET /v1/things/{id}"), "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_refused_in_order() {
    let server = server().await;
    let status = async |kind, body: &[u8]| send(server.http, "/v1/things", kind, body).await.unwrap().problem();
    assert_eq!(status("text/plain", b"{").await["status"], 415);
    assert_eq!(status("application/json", b"{").await["status"], 400);
    assert_eq!(status("application/json", b"\"\xff\"").await["status"], 400);
    assert_eq!(status("application/json", b"").await["status"], 400);
    let unfit = status("application/json", br#"{"quantity": 1.0}"#).await;
    assert_eq!((&unfit["status"], &unfit["errors"][0]["pointer"]), (&422.into(), &"/quantity".into()));
    let good = send(server.http, "/v1/things", "application/json", br#"{"quantity":1}"#).await.unwrap();
    assert_eq!(good.status, 201);
    let zipped = "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n";
    assert_eq!(request(server.http, "POST /v1/things", zipped).await.problem()["status"], 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_gets_its_answer() {
    let server = server().await;
    // The response must arrive although the body is not wanted: a reset would throw it away.
    for size in [1024 * 1024 + 1, 3 * 1024 * 1024, 6 * 1024 * 1024] {
        for _ in 0..5 {
            let response = send(server.http, "/v1/things", "application/json", &vec![b' '; size]).await;
            assert_eq!(response.expect("the connection was reset").problem()["status"], 413, "{size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_works_as_get() {
    let server = server().await;
    let path = format!("/v1/things/{}", Uuid::now_v7());
    let get = request(server.http, &format!("GET {path}"), "").await;
    let head = request(server.http, &format!("HEAD {path}"), "").await;
    assert_eq!(
        (head.status, head.header("etag"), head.header("content-length")),
        (200, Some("\"3\""), get.header("content-length"))
    );
    let missing = request(server.http, "HEAD /v1/nothing", "").await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_honoured() {
    let server = server().await;
    let path = format!("/v1/things/{}", Uuid::now_v7());
    let read =
        async |tag: &str| request(server.http, &format!("GET {path}"), &format!("If-None-Match: {tag}\r\n")).await;
    for tag in ["\"3\"", "W/\"3\"", "*", "\"1\", \"3\""] {
        let response = read(tag).await;
        assert_eq!((response.status, response.header("etag")), (304, Some("\"3\"")), "{tag}");
    }
    assert_eq!(read("\"2\"").await.status, 200);
    assert_eq!(read("3").await.problem()["errors"][0]["header"], "If-None-Match");

    let body = r#"{"quantity": 1}"#;
    let write = async |condition: &str, body: &str| {
        let headers = format!("{condition}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let mut raw = crate::support::Raw::to(server.http).await;
        raw.send(&format!("PATCH {path}"), &headers).await;
        raw.write(body).await;
        raw.read().await.unwrap()
    };
    let without = write("", "{").await.problem();
    assert_eq!((&without["status"], &without["errors"][0]["header"]), (&428.into(), &"If-Match".into()));
    assert_eq!(write("If-Match: 3\r\n", body).await.problem()["errors"][0]["header"], "If-Match");
    assert_eq!(write("If-Match: \"2\"\r\n", "{").await.problem()["status"], 400, "before 412");
    assert_eq!(write("If-Match: \"2\"\r\n", "{}").await.problem()["status"], 422, "before 412");
    assert_eq!(write("If-Match: \"2\"\r\n", body).await.problem()["status"], 412);
    assert_eq!(write("If-Match: W/\"3\"\r\n", body).await.problem()["status"], 412);
    assert_eq!(write("If-Match: \"9\", \"3\"\r\n", body).await.status, 200);
    assert_eq!(write("If-Match: *\r\n", body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_tokens_and_secrets() {
    let server = server().await;
    let without = request(server.http, "POST /v1/commands", "Content-Length: 0\r\n").await.problem();
    assert_eq!((&without["status"], &without["errors"][0]["header"]), (&400.into(), &"Idempotency-Key".into()));
    let stranger = request(server.http, "GET /v1/me", "").await;
    assert_eq!(
        (stranger.problem()["status"].as_u64(), stranger.header("www-authenticate")),
        (Some(401), Some("Bearer"))
    );
    let ours = request(server.http, "GET /v1/secret", "").await;
    assert_eq!((&ours.problem()["status"], &ours.problem()["type"]), (&500.into(), &"/problems/internal".into()));
    assert!(!String::from_utf8_lossy(&ours.body).contains("1234"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors_is_as_configured() {
    let origin = "Origin: https://shop.example\r\n";
    let plain = request(server().await.http, "GET /v1/things", origin).await;
    assert_eq!(plain.header("access-control-allow-origin"), None);

    let mut config = config();
    config.cors = Cors { origins: vec!["https://shop.example".into()] };
    let server = Server::start(config, app(router())).await;
    let refused = request(server.http, "GET /v1/nothing", origin).await;
    assert_eq!(refused.problem()["status"], 404);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://shop.example"), "a page can read refusals");
    let other = request(server.http, "GET /v1/things", "Origin: https://evil.example\r\n").await;
    assert_ne!(other.header("access-control-allow-origin"), Some("https://evil.example"));
    let preflight = format!("{origin}Access-Control-Request-Method: PATCH\r\n");
    let preflight = request(server.http, "OPTIONS /v1/things", &preflight).await;
    assert_eq!(preflight.status, 200);
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    let headers = preflight.header("access-control-allow-headers").unwrap();
    assert!(["authorization", "idempotency-key", "if-match"].iter().all(|name| headers.contains(name)), "{headers}");
}

/// What gRPC's health service says of a service; 1 is `SERVING`, 2 `NOT_SERVING`.
async fn grpc_health(server: &Server, service: &str) -> Result<i32, tonic::Code> {
    let uri = format!("http://{}", server.grpc);
    let channel = tonic::transport::Channel::from_shared(uri).unwrap().connect().await.unwrap();
    let question = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(question).await;
    answer.map(|answer| answer.into_inner().status).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_says_what_readiness_says() {
    let (there, mut changing) = (Arc::new(AtomicBool::new(false)), app(router()));
    changing.descriptors = &[tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET];
    let there_now = |there: Arc<AtomicBool>| ready(there.load(Ordering::Relaxed).then_some(()).ok_or("no file"));
    changing.health = Health::new().check("database", Arc::clone(&there), there_now);
    let server = Server::start(config(), changing).await;
    let service = "grpc.reflection.v1.ServerReflection";
    for (is_there, status, answer) in [(false, 2, 503), (true, 1, 200), (false, 2, 503)] {
        there.store(is_there, Ordering::Relaxed);
        for name in ["", service] {
            eventually!(grpc_health(&server, name).await == Ok(status));
        }
        assert_eq!(request(server.admin, "GET /healthz/ready", "").await.status, answer);
    }
    assert_eq!(grpc_health(&server, "made.up").await, Err(tonic::Code::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_tells_how_it_is() {
    let mut sick = app(router());
    sick.health = Health::new()
        .check("database", (), async |()| Ok::<_, std::fmt::Error>(()))
        .may_be_away("bus", (), async |()| Err("no file".to_owned()))
        .check("slow", (), |()| std::future::pending::<Result<(), String>>());
    let server = Server::start(config(), sick).await;
    assert_eq!(request(server.admin, "GET /healthz/live", "").await.status, 200);
    let report = request(server.admin, "GET /healthz/ready", "").await;
    assert_eq!((report.status, report.header("content-type")), (503, Some("application/json")));
    let report = report.json();
    assert_eq!(report["status"], "not_ready");
    assert_eq!(report["checks"]["database"], json!({"status": "ready"}));
    assert_eq!(report["checks"]["bus"], json!({"status": "degraded", "detail": "no file"}));
    assert_eq!(report["checks"]["slow"]["status"], "not_ready");
    assert_eq!(grpc_health(&server, "").await, Ok(2));

    let server = self::server().await;
    let report = request(server.admin, "GET /healthz/ready", "").await;
    let checks = json!({"requests": {"status": "ready"}, "http": {"status": "ready"}, "grpc": {"status": "ready"}});
    assert_eq!((report.status, report.json()), (200, json!({"status": "ready", "checks": checks})));
    let version = request(server.admin, "GET /version", "").await.json();
    assert_eq!(version, json!({"service": "test", "version": "1.2.3", "commit": "abc"}));
    let metrics = request(server.admin, "GET /metrics", "").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(request(server.admin, "GET /nothing", "").await.problem()["status"], 404);
    let spans = request(server.admin, "GET /debug/traces?order.id=o1", "").await.problem();
    assert!(spans["detail"].as_str().unwrap().contains("telemetry.recent_spans"), "none are kept: {spans}");
    assert_eq!(request(server.admin, "POST /metrics", "Content-Length: 0\r\n").await.problem()["status"], 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_type_leads_to_a_page_that_says_what_to_do() {
    let server = server().await;
    let html = async |path: &str| {
        let page = request(server.http, &format!("GET {path}"), "Accept: text/html,application/json;q=0.9\r\n").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        String::from_utf8(page.body).unwrap()
    };
    for problem in error::Problem::ALL {
        let page = html(&problem.uri()).await;
        assert!(page.contains("What to do") && page.contains(&problem.code()), "{page}");
    }
    assert!(html("/problems").await.contains("<a href=\"/problems/email-taken\">"));

    let read = async |path: &str| request(server.http, &format!("GET {path}"), "Accept: application/json\r\n").await;
    let one = read("/problems/email-taken").await;
    assert_eq!(one.header("vary"), Some("accept"));
    assert_eq!((&one.json()["code"], &one.json()["status"]), (&"EMAIL_TAKEN".into(), &409.into()));
    assert_eq!(read("/problems").await.json().as_array().unwrap().len(), error::Problem::ALL.len());
    assert_eq!(read("/problems/made-up").await.problem()["type"], "/problems/not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_answers_are_compressed_for_whoever_takes_that() {
    let long = || Router::new().route("/long", get(async || "x".repeat(4096)));
    let events = "text/event-stream";
    let stream = get(async move || ([(CONTENT_TYPE, events)], "x".repeat(4096)));
    let server = Server::of(long().route("/short", get(async || "x")).route("/events", stream)).await;
    let coding = async |path: &str, accepted: &str| {
        let answer = request(server.http, &format!("GET {path}"), &format!("Accept-Encoding: {accepted}\r\n")).await;
        (answer.header("content-encoding").map(str::to_owned), answer.body.len())
    };
    for name in ["gzip", "zstd"] {
        let (coded, length) = coding("/long", name).await;
        assert!(coded.as_deref() == Some(name) && length < 200, "{name}: {coded:?}, {length}");
    }
    assert_eq!(coding("/long", "identity").await, (None, 4096));
    assert_eq!(coding("/short", "gzip").await, (None, 1));
    assert_eq!(coding("/events", "gzip").await.0, None, "an event is not held back");
}
