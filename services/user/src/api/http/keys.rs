//! `/.well-known/jwks.json`: the public keys of access tokens (RFC 7517).

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, ETAG},
    },
    response::{IntoResponse as _, Response},
};
use chassis::http::{IfNoneMatch, etag};
use error::Error;

use super::schema;
use crate::{api::Api, domain::key_rotation::CACHED_FOR};

/// Lists the public keys of access tokens
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "getKeys", tag = "keys", params(IfNoneMatch),
    responses(
        (status = 200, description = "The keys.", body = schema::KeySet,
            headers(("ETag" = String, description = "Of these keys."))),
        (status = 304, description = "They are still what the client has."),
    ),
)]
pub(super) async fn jwks(State(api): State<Api>, if_none_match: IfNoneMatch) -> Result<Response, Error> {
    let keys = serde_json::to_value(api.app.keys.published()).map_err(Error::internal)?;
    let tag = fingerprint(&keys.to_string());
    let mut response = if_none_match.answer(tag, || ([(ETAG, etag(tag))], Json(&keys)).into_response());
    if matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED) {
        let cached = HeaderValue::try_from(format!("public, max-age={}", CACHED_FOR.as_secs()));
        response.headers_mut().insert(CACHE_CONTROL, cached.map_err(Error::internal)?);
    }
    Ok(response)
}

/// The first half of a text's SHA-256, as a number: keys have no version.
fn fingerprint(text: &str) -> u64 {
    let half = digest(&SHA256, text.as_bytes()).as_ref().first_chunk().copied();
    half.map_or(0, u64::from_be_bytes)
}
