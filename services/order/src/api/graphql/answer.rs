//! Answers as GraphQL over HTTP has them: what failed is listed with a code, and the rest is there all the same.

use std::error::Error as StdError;

use async_graphql::{BatchResponse, ErrorExtensionValues, Response, ServerError, Value};
use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response as HttpResponse},
};
use error::{Error, Problem, Violation};

use super::limits;

/// The media type that lets the status say whether a document was executed.
const GRAPHQL: HeaderValue = HeaderValue::from_static("application/graphql-response+json");

/// The answer to a request that was refused before it was executed.
pub(super) fn refused(error: &Error) -> Response {
    let mut refused = ServerError::new(String::new(), None);
    describe(&mut refused, error);
    Response::from_errors(vec![refused])
}

/// The most faults that are told of one document.
const MAX_FAULTS: usize = 10;
/// The longest that is said of one, in characters: it has names of the document.
const MAX_MESSAGE: usize = 300;

/// Gives each error its code, keeps back what is not for callers, and logs once what is our own mistake.
pub(super) fn finish(mut response: Response) -> Response {
    if response.data == Value::Null {
        // What was not executed may have a fault at each word.
        response.errors.truncate(MAX_FAULTS);
    }
    let mut logged = false;
    for error in &mut response.errors {
        let source = error.source.take().and_then(|source| source.downcast::<Error>().ok());
        if let Some(source) = source {
            logged = logged || log(&source);
            describe(error, &source);
        } else if let Some(refused) = limits::too_dear(error) {
            describe(error, &refused);
        } else {
            error.message = without_value(&error.message);
            set(error, Problem::InvalidDocument, &[]);
        }
    }
    response
}

/// What async-graphql says of a document, without the value that does not fit: it may be a secret, and long.
fn without_value(message: &str) -> String {
    let (said, _) = message.split_once(", found ").unwrap_or((message, ""));
    said.chars().take(MAX_MESSAGE).collect()
}

/// The code of the first error.
pub(super) fn code(response: &Response) -> Option<&str> {
    match response.errors.first()?.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

fn describe(to: &mut ServerError, error: &Error) {
    error.detail().clone_into(&mut to.message);
    set(to, error.problem(), error.violations());
}

fn set(to: &mut ServerError, problem: Problem, violations: &[Violation]) {
    let values = to.extensions.get_or_insert_with(ErrorExtensionValues::default);
    values.set("code", problem.code());
    if !violations.is_empty() {
        let violations: Vec<_> = violations.iter().map(Violation::json).collect();
        values.set("errors", Value::from_json(violations.into()).unwrap_or_default());
    }
}

/// Logs a failure that is not the caller's; says whether it was one.
fn log(error: &Error) -> bool {
    let kind = error.kind();
    if kind.is_client_fault() {
        return false;
    }
    let cause = error as &dyn StdError;
    // Failing dependencies are not for this service to repair.
    if kind.may_retry() {
        tracing::warn!(error = cause, "a field was not answered");
    } else {
        tracing::error!(error = cause, "a field failed");
    }
    true
}

/// The response over HTTP: 200, but for what was not executed where the client reads the status.
pub(super) fn http(headers: &HeaderMap, answer: BatchResponse) -> HttpResponse {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let reads_status = accepted.into_iter().any(|accept| accept.contains("application/graphql-response+json"));
    let executed = match &answer {
        BatchResponse::Single(response) => response.is_ok() || response.data != Value::Null,
        BatchResponse::Batch(_) => true,
    };
    match (reads_status, executed) {
        (true, true) => ([(header::CONTENT_TYPE, GRAPHQL)], Json(answer)).into_response(),
        (true, false) => (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, GRAPHQL)], Json(answer)).into_response(),
        (false, _) => Json(answer).into_response(),
    }
}
