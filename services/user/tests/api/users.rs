//! `/v1/users`: opening, reading and changing accounts.

use auth::CREDENTIAL_HEADER;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::app::{PASSWORD, Person, TestApp, credential, faults_in};

#[tokio::test]
async fn an_account_is_opened_and_read() {
    let app = TestApp::start().await;
    let body = json!({"email": "Ada@Example.com", "name": "  Ada  ", "password": PASSWORD});
    let opened = app.post("/v1/users").json(&body).send().await.expect(StatusCode::CREATED);
    let id = opened.body["id"].as_str().unwrap().to_owned();
    assert_eq!(opened.header("location"), format!("/v1/users/{id}"));
    assert_eq!(opened.etag(), "\"1\"");
    let created = opened.body["created_at"].as_str().unwrap();
    assert!(created.ends_with('Z') && OffsetDateTime::parse(created, &Rfc3339).is_ok());
    let expected = json!({
        "id": id, "email": "Ada@Example.com", "name": "Ada", "status": "active", "orders_placed": 0, "version": 1,
        "created_at": created, "updated_at": created,
    });
    assert_eq!(opened.body, expected);
    let person = app.log_in("aDA@eXAMPLE.COM").await;
    for path in ["/v1/users/me".to_owned(), format!("/v1/users/{id}")] {
        let read = app.get(&path).bearer(&person.access).send().await.expect(StatusCode::OK);
        assert_eq!((read.etag(), &read.body), ("\"1\"", &expected), "{path}");
        let head = app.request(Method::HEAD, &path).bearer(&person.access).send().await.expect(StatusCode::OK);
        assert_eq!((head.etag(), head.bytes.len()), ("\"1\"", 0));
    }
}

#[tokio::test]
async fn an_address_belongs_to_one_account() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await;
    let body = json!({"email": "ADA@example.com", "name": "Eve", "password": PASSWORD});
    assert_eq!(faults_in("pointer", app.post("/v1/users").json(&body).send().await.problem(409)), ["/email"]);
}

#[tokio::test]
async fn limits_are_inclusive() {
    let app = TestApp::start().await;
    let email = format!("{}@example.com", "a".repeat(242));
    let body = json!({"email": email, "name": "ü".repeat(100), "password": "ü".repeat(128)});
    app.post("/v1/users").json(&body).send().await.expect(StatusCode::CREATED);
    let body = json!({"email": "a@example.com", "name": "a", "password": "1234567b"});
    app.post("/v1/users").json(&body).send().await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn bad_bodies_are_refused_by_field_and_change_nothing() {
    let app = TestApp::start().await;
    let good = json!({"email": "ada@example.com", "name": "Ada", "password": PASSWORD});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let without = |key: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(key);
        body
    };
    let unfit = [
        (without("email"), "/email"),
        (without("name"), "/name"),
        (without("password"), "/password"),
        (with("email", Value::Null), "/email"),
        (with("email", json!("ada")), "/email"),
        (with("email", json!(format!("{}@example.com", "a".repeat(243)))), "/email"),
        (with("email", json!("a\u{0}@example.com")), "/email"),
        (with("email", json!(["ada@example.com"])), "/email"),
        (with("name", json!("  ")), "/name"),
        (with("name", json!("a".repeat(101))), "/name"),
        (with("name", json!("a\nb")), "/name"),
        (with("name", json!(1)), "/name"),
        (with("password", json!("1234567")), "/password"),
        (with("password", json!("a".repeat(129))), "/password"),
        (with("password", json!("Password123")), "/password"),
        (with("password", json!(12_345_678)), "/password"),
        (with("role", json!("operator")), "/role"),
        (with("a/b", json!(1)), "/a~1b"),
        (json!([]), ""),
        (json!("text"), ""),
    ];
    for (body, at_fault) in unfit {
        let response = app.post("/v1/users").json(&body).send().await;
        assert_eq!(faults_in("pointer", response.problem(422)), [at_fault], "{body}");
    }
    let twice = r#"{"email":"a@b.co","email":"a@b.co","name":"Ada","password":"correct horse"}"#;
    assert_eq!(faults_in("pointer", app.post("/v1/users").raw_json(twice).send().await.problem(422)), ["/email"]);
    let all = app.post("/v1/users").json(&json!({"x": 1})).send().await;
    assert_eq!(faults_in("pointer", all.problem(422)).len(), 4);
    for unreadable in [&b""[..], b"{", b"{\"email\":}", b"{} {}", b"{\"email\":\"\xff\"}", b"\xef\xbb\xbf{}"] {
        app.post("/v1/users").raw_json(unreadable).send().await.problem(400);
    }
    app.post("/v1/users").raw_json(format!("\"{}\"", "x".repeat(1024 * 1024))).send().await.problem(413);
    app.post("/v1/users").header("content-type", "text/plain").send().await.problem(415);
    app.post("/v1/users").send().await.problem(415);
    let audit = app
        .get("/internal/v1/audit")
        .header(CREDENTIAL_HEADER, credential("trireme"))
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(audit.body, json!({"users": 0, "closing": 0, "outbox": 0, "orders_placed": 0}));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused() {
    let app = TestApp::start().await;
    let Person { id, access, .. } = app.person("ada@example.com").await;
    for path in ["/v1/users/me/", "/v1/users/", "/v1/nothing", "/", &format!("/v1/users/{id}/")] {
        app.get(path).bearer(&access).send().await.problem(404);
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/users", "POST"),
        (Method::PUT, "/v1/users/me", "GET,HEAD,PATCH,DELETE"),
        (Method::POST, "/v1/sessions/current", "DELETE"),
        (Method::POST, "/.well-known/jwks.json", "GET,HEAD"),
    ] {
        let response = app.request(method, path).bearer(&access).send().await;
        response.problem(405);
        let mut allow: Vec<_> = response.header("allow").split(',').map(str::trim).collect();
        let mut allowed: Vec<_> = allowed.split(',').collect();
        allow.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(allow, allowed, "{path}");
    }
}

#[tokio::test]
async fn others_accounts_are_seen_by_operators_only() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let eve = app.person("eve@example.com").await;
    let operator = app.operator("olga@example.com").await;
    let unknown = uuid::Uuid::now_v7();
    let get = |id: String, who: &Person| app.get(&format!("/v1/users/{id}")).bearer(&who.access).send();
    let hidden = get(ada.id.clone(), &eve).await;
    hidden.problem(404);
    assert_eq!(hidden.without_instance(), get(unknown.to_string(), &eve).await.without_instance());
    assert_eq!(hidden.without_instance(), get(unknown.to_string(), &operator).await.without_instance());
    assert_eq!(get(ada.id.clone(), &operator).await.expect(StatusCode::OK).body["email"], "ada@example.com");
    for malformed in ["1", "%ff", "..", &ada.id.replace('-', ""), &format!("{{{}}}", ada.id), &format!("{}0", ada.id)] {
        let malformed = malformed.replace('{', "%7B").replace('}', "%7D");
        get(malformed, &operator).await.problem(404);
    }
    app.get(&format!("/v1/users/{}", ada.id)).send().await.problem(401);
    app.get("/v1/users/1").send().await.problem(401);
}

#[tokio::test]
async fn an_account_is_changed_by_version() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.register("eve@example.com").await;
    let patch = |etag: &str, body: Value| {
        app.patch("/v1/users/me").bearer(&ada.access).header("if-match", etag).json(&body).send()
    };
    let before = app.me(&ada).await.body;
    let renamed = patch("\"1\"", json!({"name": "Ada L."})).await.expect(StatusCode::OK);
    assert_eq!((renamed.etag(), renamed.body["name"].as_str()), ("\"2\"", Some("Ada L.")));
    assert_eq!(renamed.body["created_at"], before["created_at"]);
    assert!(renamed.body["updated_at"].as_str() > before["updated_at"].as_str());
    assert_eq!(app.me(&ada).await.body, renamed.body, "the cache follows");
    patch("\"1\"", json!({"name": "Eve"})).await.problem(412);
    patch("W/\"2\"", json!({"name": "Eve"})).await.problem(412);
    patch("\"1\", \"x\"", json!({"name": "Eve"})).await.problem(412);
    let address = |email: &str| json!({"email": email, "current_password": PASSWORD});
    assert_eq!(faults_in("pointer", patch("\"2\"", address("EVE@example.com")).await.problem(409)), ["/email"]);
    assert_eq!(app.me(&ada).await.body, renamed.body, "a refusal changes nothing");
    patch("\"1\", \"2\"", address("lovelace@example.com")).await.expect(StatusCode::OK);
    let any = patch("*", address("Lovelace@example.com")).await.expect(StatusCode::OK);
    assert_eq!(any.etag(), "\"4\"");
    app.log_in("lovelace@example.com").await;
    app.register("ada@example.com").await;
}

#[tokio::test]
async fn an_empty_change_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let before = app.me(&ada).await.body;
    let patch =
        |etag: &str| app.patch("/v1/users/me").bearer(&ada.access).header("if-match", etag).raw_json("{}").send();
    assert_eq!(patch("\"1\"").await.expect(StatusCode::OK).body, before);
    patch("\"7\"").await.problem(412);
    assert_eq!(app.me(&ada).await.body, before);
}

#[tokio::test]
async fn a_change_is_refused_in_the_order_of_the_interface() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.register("eve@example.com").await;
    let patch = || app.patch("/v1/users/me");
    patch().header("if-match", "x").raw_json("{").send().await.problem(401);
    let signed = || patch().bearer(&ada.access);
    signed().raw_json("{").send().await.problem(428);
    let malformed = signed().header("if-match", "1").raw_json("{").send().await;
    assert_eq!(faults_in("header", malformed.problem(400)), ["If-Match"]);
    let stale = || signed().header("if-match", "\"9\"");
    stale().raw_json("{").send().await.problem(400);
    stale().send().await.problem(415);
    assert_eq!(faults_in("pointer", stale().raw_json(r#"{"name":null}"#).send().await.problem(422)), ["/name"]);
    assert_eq!(faults_in("pointer", stale().raw_json(r#"{"status":"closed"}"#).send().await.problem(422)), ["/status"]);
    let email = |password: &str| json!({"email": "eve@example.com", "current_password": password});
    stale().json(&email("wrong")).send().await.problem(403);
    stale().json(&email(PASSWORD)).send().await.problem(412);
    let current = signed().header("if-match", "\"1\"");
    current.json(&email(PASSWORD)).send().await.problem(409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_changes_at_once_one_wins() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let all = (0..8).map(|i| {
        let body = json!({"name": format!("Ada {i}")});
        app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "\"1\"").json(&body).send()
    });
    let responses = futures::future::join_all(all).await;
    let won: Vec<_> = responses.iter().filter(|response| response.status == StatusCode::OK).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(responses.iter().filter(|response| response.status == StatusCode::PRECONDITION_FAILED).count(), 7);
    assert_eq!(app.me(&ada).await.body, won[0].body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_changes_of_any_version_are_all_made() {
    several_changes_of_any_version(TestApp::start().await).await;
    let Some(server) = testkit::servers::Postgres::shared().await else { return };
    several_changes_of_any_version(TestApp::with(&[("DATABASE__URL", server.database().await.as_str())]).await).await;
}

async fn several_changes_of_any_version(app: TestApp) {
    let ada = app.person("ada@example.com").await;
    let all = (0..32).map(|i| {
        let body = json!({"name": format!("Ada {i}")});
        app.patch("/v1/users/me").bearer(&ada.access).header("if-match", "*").json(&body).send()
    });
    for response in futures::future::join_all(all).await {
        response.expect(StatusCode::OK);
    }
    assert_eq!(app.me(&ada).await.body["version"], 33);
}
