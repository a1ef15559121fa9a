//! `/internal/v1`: for services.

use auth::CREDENTIAL_HEADER;
use axum::http::StatusCode;
use serde_json::json;

use crate::app::{TestApp, credential};

#[tokio::test]
async fn only_the_tool_may_ask_for_sums() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let audit = || app.get("/internal/v1/audit");
    audit().send().await.problem(401);
    audit().bearer(&ada.access).send().await.problem(401);
    audit().header(CREDENTIAL_HEADER, "trireme.00").send().await.problem(401);
    audit().header(CREDENTIAL_HEADER, credential("order")).send().await.problem(403);
    audit().header(CREDENTIAL_HEADER, credential("payment")).send().await.problem(403);
    testkit::eventually!({
        let audit = audit().header(CREDENTIAL_HEADER, credential("trireme")).send().await.expect(StatusCode::OK);
        audit.body == json!({"users": 1, "closing": 0, "outbox": 0, "orders_placed": 0})
    });
}
