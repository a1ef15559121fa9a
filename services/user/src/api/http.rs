//! The HTTP interface: routes and what they share.

mod internal;
mod sessions;
mod users;

use axum::{
    Json, Router,
    extract::State,
    http::header::CACHE_CONTROL,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};

use super::Api;

/// How long others may keep the public keys: far shorter than a key is published before its first use.
const JWKS_CACHE_CONTROL: &str = "public, max-age=300";

/// All routes, without the layers that every service has.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/users", post(users::register))
        .route("/v1/users/me", get(users::me).patch(users::update).delete(users::close))
        .route("/v1/users/{id}", get(users::by_id))
        .route("/v1/sessions", post(sessions::log_in))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/sessions/current", delete(sessions::log_out))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/internal/v1/audit", get(internal::audit))
        .with_state(api)
}

async fn jwks(State(api): State<Api>) -> Response {
    ([(CACHE_CONTROL, JWKS_CACHE_CONTROL)], Json(api.app.keys.published())).into_response()
}
