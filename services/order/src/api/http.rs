//! HTTP: the routes.

pub(super) mod body;
mod caller;
mod internal;
pub(super) mod orders;
pub(super) mod products;
mod schema;
mod search;
mod stream;
mod view;

use std::sync::Arc;

use auth::{Callers, Verifier};
use axum::{Router, extract::FromRef};
use chassis::{
    openapi::{self, About},
    push::Push,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

const ABOUT: About = About {
    title: "Trireme order",
    description: "Products, their stock, and orders.\n\nThe same over GraphQL is at `/graphql`, which its own schema \
        describes (docs/graphql/schema.graphql) and this document does not.",
    tags: &[
        ("products", "What can be bought."),
        ("orders", "What was bought, and what became of it."),
        ("internal", "For the other services and the operators' tool."),
    ],
};

/// The documents of all services as one, which the gateway sends here.
const SHOP: &str = include_str!("../../../../docs/openapi/shop.json");

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
    let routes = OpenApiRouter::new()
        .routes(routes!(products::list, products::create))
        .routes(routes!(search::products))
        .routes(routes!(products::get, products::change))
        .routes(routes!(products::restock))
        .routes(routes!(orders::list, orders::place))
        .routes(routes!(search::orders))
        .routes(routes!(stream::open))
        .routes(routes!(stream::ticket))
        .routes(routes!(orders::get))
        .routes(routes!(orders::cancel))
        .routes(routes!(orders::fulfil))
        .routes(routes!(internal::close_account))
        .routes(routes!(internal::audit))
        .routes(routes!(internal::audit_orders))
        .routes(routes!(internal::audit_customers));
    openapi::serve(ABOUT, routes)
        .merge(openapi::pages("/v1/openapi.json", "/v1/docs", &serde_json::from_str(SHOP).unwrap_or_default()))
        .with_state(Api { app, verifier, callers, push })
}
