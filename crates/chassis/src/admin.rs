//! The admin port: health, metrics, version. Not for the public.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::Health;

/// The content type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn router(health: Health, version: Value) -> Router {
    Router::new()
        .route("/healthz/live", get(async || Json(json!({"status": "live"}))))
        .route("/healthz/ready", get(ready).with_state(health))
        .route("/metrics", get(async || ([(CONTENT_TYPE, PROMETHEUS)], telemetry::prometheus_text())))
        .route("/version", get(async move || Json(version)))
}

async fn ready(State(health): State<Health>) -> Response {
    let (ready, report) = health.report().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}
