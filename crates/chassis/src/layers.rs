//! What every request passes through, outermost first, in the one order in which it makes sense:
//!
//! 1. trace: remote parent, span, canary mark and deadline made current; access log; metrics
//! 2. compression (HTTP only): answers of more than 1 KiB, by gzip or zstd, for whoever takes them
//! 3. problems: every failure, the framework's own included, becomes a problem document (HTTP only)
//! 4. panic: a bug becomes an answer and not a broken connection
//! 5. CORS (where configured): before the limits, so that a browser can read a refusal
//! 6. overload: too much at once is refused, not queued
//! 7. deadline: what takes longer than its caller waits is given up
//!
//! In front of gRPC's is gRPC-Web, which is how browsers call. And then come the routes; those of problem types are the same for all.

mod client;
mod limit;
mod panic;
mod problem;
mod trace;

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{from_fn, from_fn_with_state},
};
use tonic_web::GrpcWebLayer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
};

use self::trace::{Protocol, Tracing};
use crate::{Cors, Limits, in_flight::InFlight, openapi::deprecation, problems};

/// Puts the standard layers around HTTP routes.
pub fn layers(router: Router, limits: &Limits, cors: &Cors) -> Router {
    http(router, limits, cors, InFlight::new(limits.max_in_flight))
}

pub(crate) fn http(router: Router, limits: &Limits, cors: &Cors, in_flight: Arc<InFlight>) -> Router {
    let tracing = Tracing { protocol: Protocol::Http, limit: limits.request_timeout, methods: Arc::default() };
    let router = router
        .merge(problems::router())
        .layer(from_fn_with_state(Protocol::Http, limit::deadline))
        .layer(from_fn_with_state((Protocol::Http, in_flight), limit::overload))
        .layer(from_fn_with_state(limits.trusted_proxies, client::address));
    let router = match allowed(cors) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(CatchPanicLayer::custom(|cause| panic::answer(Protocol::Http, cause)))
        .layer(from_fn(problem::problems))
        .layer(compression())
        .layer(from_fn_with_state(tracing, trace::trace))
}

pub(crate) fn grpc(
    router: Router,
    methods: HashSet<String>,
    limits: &Limits,
    cors: &Cors,
    in_flight: Arc<InFlight>,
) -> Router {
    let tracing = Tracing { protocol: Protocol::Grpc, limit: limits.request_timeout, methods: Arc::new(methods) };
    let router = router
        .layer(from_fn_with_state(Protocol::Grpc, limit::deadline))
        .layer(from_fn_with_state((Protocol::Grpc, in_flight), limit::overload))
        .layer(from_fn_with_state(limits.trusted_proxies, client::address))
        .layer(CatchPanicLayer::custom(|cause| panic::answer(Protocol::Grpc, cause)))
        .layer(from_fn_with_state(tracing, trace::trace))
        .layer(GrpcWebLayer::new());
    match allowed(cors) {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// A stream of events is sent as it comes, which a coding would hold back.
fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().compress_when(SizeAbove::new(1024).and(NotForContentType::SSE))
}

/// Problem documents for the admin port, which has no other layers.
pub(crate) fn admin(router: Router) -> Router {
    router.layer(from_fn(problem::problems))
}

/// How long a browser may remember what it may: a request costs one round trip and not two.
const PREFLIGHT: Duration = Duration::from_mins(10);

fn allowed(cors: &Cors) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = cors.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let own =
        ["idempotency-key", "last-event-id", "traceparent", "x-canary", "x-grpc-web", "x-user-agent", "grpc-timeout"];
    let own = own.map(HeaderName::from_static);
    let asked = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, header::IF_NONE_MATCH];
    let shown = ["ratelimit", "grpc-status", "grpc-message", "grpc-status-details-bin"].map(HeaderName::from_static);
    let shown = shown.into_iter().chain([header::ETAG, header::LOCATION, header::RETRY_AFTER, crate::http::REPLAYED]);
    let shown = shown.chain([deprecation::DEPRECATION, deprecation::SUNSET, header::LINK]);
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(own.into_iter().chain(asked).collect::<Vec<_>>())
            .expose_headers(shown.collect::<Vec<_>>())
            .max_age(PREFLIGHT)
    })
}
