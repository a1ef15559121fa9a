//! A page to try it: `GraphiQL`, in one document that loads nothing from elsewhere.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Response},
};

/// Compressed, because that is how it is sent: every browser takes it.
const PAGE: &[u8] = include_bytes!("../../../assets/graphiql/graphiql.html.gz");
/// Only the page's own script is run, and only the service is called.
const POLICY: &str = include_str!("../../../assets/graphiql/graphiql.csp");

pub(super) async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_ENCODING, "gzip"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, PAGE).into_response()
}
