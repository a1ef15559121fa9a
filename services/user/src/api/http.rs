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

/// How long others may keep the public keys; a key is published far longer before its first use.
const KEYS_KEPT: &str = "public, max-age=300";

/// All routes, without the layers that every service has.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/users", post(users::register))
        .route("/v1/users/me", get(users::me).patch(users::update).delete(users::close))
        .route("/v1/users/{id}", get(users::by_id))
        .route("/v1/sessions", post(sessions::log_in))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/sessions/current", delete(sessions::log_out))
        .route("/.well-known/jwks.json", get(keys))
        .route("/internal/v1/audit", get(internal::audit))
        .with_state(api)
}

async fn keys(State(api): State<Api>) -> Response {
    ([(CACHE_CONTROL, KEYS_KEPT)], Json(api.app.keys().published())).into_response()
}
