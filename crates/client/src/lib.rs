//! Outgoing HTTP and gRPC: a deadline on every call, retries under a budget, a breaker, and the context that travels.
//!
//! [`Http`] and [`Grpc`] keep their connections and are cheap to clone. Each call
//!
//! 1. takes no longer than its own timeout or what is left of the request being served, whichever is less, and tells
//!    the callee so (`grpc-timeout`, `x-request-timeout-ms`): deadlines shrink along the chain;
//! 2. is repeated only when it is idempotent and may succeed next time, with jittered exponential backoff, and only
//!    while the [budget](Config::retry_budget) lasts, so that retries cannot multiply an overload;
//! 3. is refused at once while the callee's breaker is open;
//! 4. carries `traceparent`, `x-canary` and the service credential.
#![warn(missing_docs)]

mod budget;
mod call;
mod config;
mod error;
mod grpc;
mod http;

pub use self::{
    config::{Breaker as BreakerConfig, Config},
    error::Error,
    grpc::{Grpc, GrpcChannel},
    http::{Http, Response},
};
