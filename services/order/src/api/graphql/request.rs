//! Requests as GraphQL over HTTP has them: one document, or a few in an array.

use async_graphql::{BatchResponse, Request, Response};
use auth::Identity;
use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
    response::Response as HttpResponse,
};
use chassis::http::Payload;
use error::{Error, Problem};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Map, Value};
use tracing::Instrument as _;

use super::{Api, answer, limits, operation::Operation};
use crate::app::orders::Caller;

/// The largest body: a document, and variables for the largest order.
pub(super) const MAX_BODY: usize = 32 * 1024;
/// The most operations in one request.
const MAX_BATCH: usize = 5;

/// Who asks, where the request has an access token: the catalogue is open to all.
pub(super) struct Asker(Option<Caller>);

impl FromRequestParts<Api> for Asker {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        let identity = Identity::from_request_parts(parts, api).await?;
        Ok(Self(Some(Caller::of(&identity))))
    }
}

/// Executes what is asked for, one after the other.
pub(super) async fn execute(
    Asker(caller): Asker,
    State(api): State<Api>,
    headers: HeaderMap,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let answer = match read(payload).await? {
        Body::One(request) => BatchResponse::Single(answer(&api, caller, *request).await),
        Body::Many(requests) => {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(answer(&api, caller, request).await);
            }
            BatchResponse::Batch(answers)
        }
    };
    Ok(answer::http(&headers, answer))
}

/// What a client sends.
pub(super) enum Body {
    /// An operation.
    One(Box<Request>),
    /// A few.
    Many(Vec<Request>),
}

/// Reads a body.
///
/// # Errors
/// It is too large, no JSON, no request, or too many.
pub(super) async fn read(payload: Payload) -> Result<Body, Error> {
    let body = payload.at_most(MAX_BODY).json_bytes().await?;
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(Body::One(parse(&body)?)),
        _ => Ok(Body::Many(few(parse(&body)?)?)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|fault| refused(if fault.is_data() { Problem::InvalidFields } else { Problem::MalformedBody }))
}

/// An object each: async-graphql would take an array for a request without a document.
fn few(objects: Vec<Map<String, Value>>) -> Result<Vec<Request>, Error> {
    if objects.is_empty() {
        return Err(refused(Problem::InvalidFields));
    }
    if objects.len() > MAX_BATCH {
        let detail = format!("the request has more than {MAX_BATCH} operations");
        return Err(Error::new(Problem::DocumentTooComplex, detail));
    }
    let request = |object| Request::deserialize(Value::Object(object)).map_err(|_| refused(Problem::InvalidFields));
    objects.into_iter().map(request).collect()
}

fn refused(problem: Problem) -> Error {
    Error::new(problem, "the body is not what GraphQL over HTTP sends: an object with `query`, or a few in an array")
}

async fn answer(api: &Api, caller: Option<Caller>, request: Request) -> Response {
    let (request, operation) = match prepare(api, caller, request) {
        Ok(prepared) => prepared,
        Err(error) => return answer::refused(&error),
    };
    let (span, begin) = (operation.span(), api.app.clock.now());
    let mut answer = answer::finish(api.schema.execute(request).instrument(span.clone()).await);
    operation.arrange(&mut answer);
    let code = answer::code(&answer);
    if let Some(code) = code {
        span.record("error.type", code);
    }
    operation.done(api.app.clock.now() - begin, code);
    answer
}

/// Makes a request ready to be executed.
///
/// # Errors
/// Its document is none that may be executed.
pub(super) fn prepare(api: &Api, caller: Option<Caller>, mut request: Request) -> Result<(Request, Operation), Error> {
    limits::check_variables(&request.variables)?;
    let document = api.documents.find(&request)?;
    let operation = Operation::of(&document, request.operation_name.as_deref(), api.documents.are_listed());
    request.set_parsed_query(document);
    if let Some(caller) = caller {
        request.data.insert(caller);
    }
    Ok((request, operation))
}
