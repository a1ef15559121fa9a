//! The HTTP interface: routes and what they share.

mod internal;
mod keys;
mod password;
mod sessions;
mod users;

use axum::{
    Router,
    routing::{delete, get, post},
};

use super::Api;

/// All routes, without the layers that every service has.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/users", post(users::register))
        .route("/v1/users/me", get(users::me).patch(users::update).delete(users::close))
        .route("/v1/users/me/password", post(password::change))
        .route("/v1/users/me/sessions", get(sessions::list))
        .route("/v1/users/me/sessions/{id}", delete(sessions::revoke))
        .route("/v1/users/{id}", get(users::by_id))
        .route("/v1/sessions", post(sessions::log_in))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/sessions/current", delete(sessions::log_out))
        .route("/.well-known/jwks.json", get(keys::jwks))
        .route("/internal/v1/audit", get(internal::audit))
        .with_state(api)
}
