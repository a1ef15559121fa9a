//! Requests as GraphQL over HTTP has them: one document, or a few in an array.

use async_graphql::{BatchRequest, BatchResponse, Request, Response, parser::types::ExecutableDocument};
use auth::Identity;
use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
    response::Response as HttpResponse,
};
use chassis::http::Payload;
use error::{Error, Problem};
use tracing::{Instrument as _, field::Empty, info_span};

use super::{Api, answer};
use crate::{app::orders::Caller, domain::ids::UserId};

/// The largest body: a document, and variables for the largest order.
const MAX_BODY: usize = 64 * 1024;
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
        Ok(Self(Some(Caller { user: UserId(identity.user_id), operator: identity.is_operator() })))
    }
}

/// Executes what is asked for, one after the other.
pub(super) async fn execute(
    Asker(caller): Asker,
    State(api): State<Api>,
    headers: HeaderMap,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let body = payload.at_most(MAX_BODY).json_bytes().await?;
    let answer = match read(&body)? {
        BatchRequest::Single(request) => BatchResponse::Single(answer(&api, caller, request).await),
        BatchRequest::Batch(requests) => {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(answer(&api, caller, request).await);
            }
            BatchResponse::Batch(answers)
        }
    };
    Ok(answer::http(&headers, answer))
}

fn read(body: &[u8]) -> Result<BatchRequest, Error> {
    let request: BatchRequest = serde_json::from_slice(body).map_err(|fault| {
        let problem = if fault.is_data() { Problem::InvalidFields } else { Problem::MalformedBody };
        Error::new(
            problem,
            "the body is not what GraphQL over HTTP sends: an object with `query`, or a few in an array",
        )
    })?;
    match &request {
        BatchRequest::Batch(requests) if requests.len() > MAX_BATCH => {
            Err(Error::new(Problem::DocumentTooComplex, format!("the request has more than {MAX_BATCH} operations")))
        }
        _ => Ok(request),
    }
}

async fn answer(api: &Api, caller: Option<Caller>, mut request: Request) -> Response {
    let document = match api.documents.find(&request) {
        Ok(document) => document,
        Err(error) => return answer::refused(error),
    };
    let kind = kind(&document, request.operation_name.as_deref());
    request.set_parsed_query(document);
    if let Some(caller) = caller {
        request.data.insert(caller);
    }
    // The name is the client's own: it is on the span and nowhere else.
    let span = info_span!("graphql.operation", otel.name = kind, graphql.operation.type = kind, error.type = Empty);
    let answer = answer::finish(api.schema.execute(request).instrument(span.clone()).await);
    if let Some(code) = answer::code(&answer) {
        span.record("error.type", code);
    }
    answer
}

/// What the operation is that will be executed.
fn kind(document: &ExecutableDocument, name: Option<&str>) -> &'static str {
    let mut operations = document.operations.iter();
    let asked = operations.find(|(known, _)| name.is_none() || known.map(|known| known.as_str()) == name);
    match asked.map(|(_, operation)| operation.node.ty) {
        Some(async_graphql::parser::types::OperationType::Mutation) => "mutation",
        Some(async_graphql::parser::types::OperationType::Subscription) => "subscription",
        _ => "query",
    }
}
