//! Turns every failed response into a problem document (RFC 9457).

use std::sync::Arc;

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use error::Error;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

pub(crate) async fn problems(request: Request, next: Next) -> Response {
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let status = response.status();
    // What is JSON says it all: a problem, the admin port's own report, an answer of GraphQL.
    let is_document = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if !(status.is_client_error() || status.is_server_error()) || is_document {
        return response;
    }
    let error = response.extensions_mut().remove::<Arc<Error>>();
    if status.is_server_error() {
        let cause = error.as_ref().map(|error| error.chain()).unwrap_or_default();
        let code = status.as_u16();
        // Overload and failing dependencies are not for this service to repair.
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            tracing::warn!(http.response.status_code = code, cause, "request not answered");
        } else {
            tracing::error!(http.response.status_code = code, cause, "request failed");
        }
    }
    let trace = telemetry::trace_id().unwrap_or_else(|| format!("{:032x}", uuid::Uuid::new_v4().as_u128()));
    let document = error::problem(status, error.as_deref(), &trace).to_string();
    let length = HeaderValue::from(document.len());
    *response.body_mut() = if head { Body::empty() } else { Body::from(document) };
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONTENT_TYPE, PROBLEM);
    response
}
