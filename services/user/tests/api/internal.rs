//! `/internal/v1`: for services.

use auth::CREDENTIAL_HEADER;
use axum::http::StatusCode;
use serde_json::json;

use crate::app::{TestApp, credential};

#[tokio::test]
async fn only_the_tool_may_ask_for_sums() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for path in ["/internal/v1/audit", "/internal/v1/audit/accounts"] {
        let audit = || app.get(path);
        audit().send().await.problem(401);
        audit().bearer(&ada.access).send().await.problem(401);
        audit().header(CREDENTIAL_HEADER, "trireme.00").send().await.problem(401);
        audit().header(CREDENTIAL_HEADER, credential("order")).send().await.problem(403);
        audit().header(CREDENTIAL_HEADER, credential("payment")).send().await.problem(403);
    }
    let audit = || app.get("/internal/v1/audit");
    testkit::eventually!({
        let audit = audit().header(CREDENTIAL_HEADER, credential("trireme")).send().await.expect(StatusCode::OK);
        audit.body == json!({"users": 1, "closing": 0, "outbox": 0, "orders_placed": 0})
    });
}

#[tokio::test]
async fn accounts_are_listed_by_id() {
    let app = TestApp::start().await;
    let mut ids = [app.person("ada@example.com").await.id, app.person("eve@example.com").await.id];
    ids.sort_unstable();
    let page = async |query: &str| {
        let page = app.get(&format!("/internal/v1/audit/accounts{query}"));
        page.header(CREDENTIAL_HEADER, credential("trireme")).send().await
    };
    let account = |id: &str| json!({"id": id, "status": "active", "orders_placed": 0});
    let all = page("").await.expect(StatusCode::OK).body;
    assert_eq!(all, json!({"accounts": [account(&ids[0]), account(&ids[1])]}));
    let rest = page(&format!("?limit=1&after={}", ids[0])).await.expect(StatusCode::OK).body;
    assert_eq!(rest, json!({"accounts": [account(&ids[1])]}));
    page("?after=nobody").await.problem(400);
}
