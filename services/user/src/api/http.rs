//! The HTTP interface: routes and what they share.

mod cursor;
mod email;
mod internal;
mod keys;
mod operators;
mod password;
mod schema;
mod sessions;
mod users;

use axum::Router;
use chassis::openapi::{self, About};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::Api;

const ABOUT: About = About {
    title: "Trireme user",
    description: "Accounts and sessions.",
    tags: &[
        ("users", "Accounts."),
        ("sessions", "Logging in and out."),
        ("mail", "What is done by a mail to an account's address."),
        ("operators", "For operators."),
        ("keys", "What access tokens are checked with."),
        ("internal", "For the operators' tool."),
    ],
};

/// All routes, without the layers that every service has.
pub fn router(api: Api) -> Router {
    let routes = OpenApiRouter::new()
        .routes(routes!(users::register))
        .routes(routes!(users::me, users::update, users::close))
        .routes(routes!(password::change))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::revoke))
        .routes(routes!(email::verification, email::request_verification))
        .routes(routes!(users::by_id))
        .routes(routes!(operators::disable))
        .routes(routes!(operators::enable))
        .routes(routes!(operators::audit))
        .routes(routes!(sessions::log_in))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::log_out))
        .routes(routes!(email::verify))
        .routes(routes!(email::request_reset))
        .routes(routes!(email::reset))
        .routes(routes!(keys::jwks))
        .routes(routes!(internal::audit))
        .routes(routes!(internal::audit_accounts));
    openapi::serve(ABOUT, routes).with_state(api)
}
