//! HTTP: the routes.

mod body;
mod caller;
mod internal;
mod orders;
mod products;
mod stream;
mod view;

use std::sync::Arc;

use auth::{Callers, Verifier};
use axum::{
    Router,
    extract::FromRef,
    http::header,
    routing::{get, post, put},
};
use chassis::push::Push;

use crate::app::App;

/// The interface's `OpenAPI` description.
const OPENAPI: &str = include_str!("../../openapi.json");

/// The handlers' dependencies.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
    verifier: Verifier,
    callers: Callers,
    push: Push,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

impl FromRef<Api> for Callers {
    fn from_ref(api: &Api) -> Self {
        api.callers.clone()
    }
}

/// All routes. `secret` is what the services share.
pub fn router(app: Arc<App>, verifier: Verifier, push: Push, secret: &str) -> Router {
    let callers = Callers::new(secret, &[internal::USER, internal::TRIREME]);
    Router::new()
        .route("/v1/products", get(products::list).post(products::create))
        .route("/v1/products/{id}", get(products::get).patch(products::change))
        .route("/v1/products/{id}/restock", post(products::restock))
        .route("/v1/orders", get(orders::list).post(orders::place))
        .route("/v1/orders/stream", get(stream::open))
        .route("/v1/orders/stream/tickets", post(stream::ticket))
        .route("/v1/orders/{id}", get(orders::get))
        .route("/v1/orders/{id}/cancel", post(orders::cancel))
        .route("/v1/orders/{id}/fulfil", post(orders::fulfil))
        .route("/internal/v1/accounts/{user_id}/closing", put(internal::close_account))
        .route("/internal/v1/audit", get(internal::audit))
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
        .with_state(Api { app, verifier, callers, push })
}
