//! An error as an HTTP response and as a problem document.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::{Error, Kind, Problem, Violation};

/// What is left of a quota (draft-ietf-httpapi-ratelimit-headers-10): nothing for so many seconds.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl IntoResponse for Error {
    /// Makes the response without a body: the boundary finds the error in the extensions (`Arc<Error>`), logs it and
    /// writes the [`problem`] document, because only there the trace id is known.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind().http();
        if let Some(after) = self.retry_delay() {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let seconds = seconds.max(1);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            let limit = HeaderValue::try_from(format!("\"attempts\";r=0;t={seconds}"));
            if let (Problem::RateLimited, Ok(limit)) = (self.problem(), limit) {
                response.headers_mut().insert(RATE_LIMIT, limit);
            }
        }
        if self.kind() == Kind::Unauthenticated {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Returns the RFC 9457 document for a response.
///
/// `error` is what the response's extensions hold; without it (the framework's own responses) the status decides alone.
/// `trace_id` is 32 hexadecimal digits.
///
/// ```
/// let document = error::problem(http::StatusCode::NOT_FOUND, None, "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(document["type"], "/problems/route-not-found");
/// assert_eq!(document["instance"], "urn:trace:0af7651916cd43dd8448eb211c80319c");
/// ```
pub fn problem(status: StatusCode, error: Option<&Error>, trace_id: &str) -> Value {
    let problem = error.map_or_else(|| Problem::of(Kind::of_http(status)), Error::problem);
    let mut document = json!({
        "type": problem.uri(),
        "title": problem.title(),
        "status": status.as_u16(),
        "detail": error.map_or_else(|| problem.meaning(), Error::detail),
        "instance": format!("urn:trace:{trace_id}"),
    });
    let violations = error.map(Error::violations).unwrap_or_default();
    if !violations.is_empty() {
        document["errors"] = violations.iter().map(Violation::json).collect();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;
    use std::time::Duration;

    #[test]
    fn the_document_has_what_the_interface_promises() {
        let error = Error::invalid_field("/items/0/quantity", "must be at least 1")
            .at(Location::Parameter("limit".into()), "must be at most 100")
            .at(Location::Header("If-Match".into()), "is not an entity tag");
        let document = problem(error.kind().http(), Some(&error), &"0a".repeat(16));
        assert_eq!(
            document,
            json!({
                "type": "/problems/invalid-fields",
                "title": "Some fields do not fit",
                "status": 422,
                "detail": "the request has fields that do not fit",
                "instance": format!("urn:trace:{}", "0a".repeat(16)),
                "errors": [
                    {"pointer": "/items/0/quantity", "detail": "must be at least 1"},
                    {"parameter": "limit", "detail": "must be at most 100"},
                    {"header": "If-Match", "detail": "is not an entity tag"},
                ],
            })
        );
    }

    #[test]
    fn the_response_has_no_body_and_carries_the_error() {
        let response = Error::unavailable("payment").retry_after(Duration::from_millis(1500)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let error = response.extensions().get::<Arc<Error>>();
        assert_eq!(error.map(|e| e.kind()), Some(Kind::Unavailable));
    }

    #[test]
    fn a_429_says_how_long_nothing_is_left() {
        let answer = |problem| Error::new(problem, "no").retry_after(Duration::from_millis(1500)).into_response();
        let limited = answer(Problem::RateLimited);
        assert_eq!(
            (&limited.headers()[RETRY_AFTER], &limited.headers()[RATE_LIMIT]),
            (&"2".parse().unwrap(), &"\"attempts\";r=0;t=2".parse().unwrap())
        );
        assert!(!answer(Problem::Unavailable).headers().contains_key(RATE_LIMIT));
    }

    #[test]
    fn only_a_401_asks_for_a_token() {
        let answer = |problem| Error::new(problem, "no").into_response();
        assert_eq!(answer(Problem::TokenMissing).headers()[WWW_AUTHENTICATE], "Bearer");
        assert!(!answer(Problem::OperatorRequired).headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn our_own_mistake_shows_nothing_of_its_cause() {
        let error = Error::internal("secret of the database");
        let document = problem(error.kind().http(), Some(&error), "0");
        assert!(!document.to_string().contains("secret"));
    }
}
