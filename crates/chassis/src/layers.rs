//! What every request passes through, outermost first, in the one order in which it makes sense:
//!
//! 1. trace: remote parent, span, canary mark and deadline made current; access log; metrics
//! 2. problems: every failure, the framework's own included, becomes a problem document (HTTP only)
//! 3. panic: a bug becomes an answer and not a broken connection
//! 4. CORS (HTTP only, where configured): before the limits, so that a browser can read a refusal
//! 5. overload: too much at once is refused, not queued
//! 6. deadline: what takes longer than its caller waits is given up
//!
//! and then the routes; those of problem types are the same for all.

mod client;
mod limit;
mod panic;
mod problem;
mod trace;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{from_fn, from_fn_with_state},
};
use tokio::sync::Semaphore;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

use self::trace::Protocol;
use crate::{Cors, Limits, problems};

/// Puts the standard layers around HTTP routes.
pub fn layers(router: Router, limits: &Limits, cors: &Cors) -> Router {
    http(router, limits, cors, Arc::new(Semaphore::new(limits.max_in_flight)))
}

pub(crate) fn http(router: Router, limits: &Limits, cors: &Cors, permits: Arc<Semaphore>) -> Router {
    let router = router
        .merge(problems::router())
        .layer(from_fn_with_state(Protocol::Http, limit::deadline))
        .layer(from_fn_with_state((Protocol::Http, permits), limit::overload))
        .layer(from_fn_with_state(limits.trusted_proxies, client::address));
    let router = match allowed(cors) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(CatchPanicLayer::custom(|cause| panic::answer(Protocol::Http, cause)))
        .layer(from_fn(problem::problems))
        .layer(from_fn_with_state((Protocol::Http, limits.request_timeout), trace::trace))
}

pub(crate) fn grpc(router: Router, limits: &Limits, permits: Arc<Semaphore>) -> Router {
    router
        .layer(from_fn_with_state(Protocol::Grpc, limit::deadline))
        .layer(from_fn_with_state((Protocol::Grpc, permits), limit::overload))
        .layer(from_fn_with_state(limits.trusted_proxies, client::address))
        .layer(CatchPanicLayer::custom(|cause| panic::answer(Protocol::Grpc, cause)))
        .layer(from_fn_with_state((Protocol::Grpc, limits.request_timeout), trace::trace))
}

/// Problem documents for the admin port, which has no other layers.
pub(crate) fn admin(router: Router) -> Router {
    router.layer(from_fn(problem::problems))
}

fn allowed(cors: &Cors) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = cors.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let own = ["idempotency-key", "last-event-id", "traceparent", "x-canary"].map(HeaderName::from_static);
    let asked = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, header::IF_NONE_MATCH];
    let limit = HeaderName::from_static("ratelimit");
    let shown = [header::ETAG, header::LOCATION, header::RETRY_AFTER, limit, crate::http::REPLAYED];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(own.into_iter().chain(asked).collect::<Vec<_>>())
            .expose_headers(shown)
    })
}
