//! The admin port: health, metrics, version, recent spans. Not for the public.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use error::{Error, Problem};
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
        .route("/debug/traces", get(spans_with))
        .route("/debug/traces/{trace_id}", get(spans_of))
}

async fn spans_with(Query(attributes): Query<Vec<(String, String)>>) -> Result<Json<Value>, Error> {
    kept(telemetry::recent::with_attributes(&attributes))
}

async fn spans_of(Path(trace_id): Path<String>) -> Result<Json<Value>, Error> {
    kept(telemetry::recent::of_trace(&trace_id))
}

fn kept(spans: Option<Value>) -> Result<Json<Value>, Error> {
    let off = || Error::new(Problem::NotFound, "no spans are kept: `telemetry.recent_spans` says how many shall be");
    spans.map(Json).ok_or_else(off)
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report().await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report.document())).into_response()
}
