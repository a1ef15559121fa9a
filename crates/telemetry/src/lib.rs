//! Logs, traces, metrics and the context that travels with a request.
//!
//! [`init`] is called once, in `main`. Logs go to standard output, readable on a terminal and as JSON otherwise, each
//! line with the ids of its trace. Traces and metrics go out over OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set;
//! without it nothing touches the network, and trace ids are made all the same. [`prometheus_text`] is what the admin
//! port serves.
//!
//! A [`Carrier`] is the part of a request that travels: W3C trace context and the canary mark. [`scope`] makes it, and
//! the request's deadline, current for a future; [`Carrier::current`] reads it back for the next hop, be it HTTP, gRPC
//! or an outbox row.
#![warn(missing_docs)]

mod carrier;
mod config;
mod format;
mod guard;
mod metrics;
mod otlp;
mod scope;
mod traceparent;

pub use self::{
    carrier::Carrier,
    config::{Config, Format},
    guard::{Error, Guard, init},
    metrics::{meter, prometheus_text},
    scope::{canary, deadline, link, remaining, scope, trace_id},
};
