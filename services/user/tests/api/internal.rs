//! `/internal/v1`: for services.

use axum::http::StatusCode;
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn only_the_tool_may_ask_for_sums() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let audit = || app.get("/internal/v1/audit");
    audit().send().await.refused(401);
    audit().bearer(&ada.access).send().await.refused(401);
    audit().header(auth::CREDENTIAL_HEADER, "trireme.00").send().await.refused(401);
    audit().service("order").send().await.refused(403);
    audit().service("payment").send().await.refused(403);
    testkit::eventually!({
        let audit = audit().service("trireme").send().await.expect(StatusCode::OK);
        audit.body == json!({"users": 1, "closing": 0, "outbox": 0, "orders_placed": 0})
    });
}
