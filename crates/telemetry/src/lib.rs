#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod carrier;
mod config;
#[cfg(test)]
mod document;
mod error;
mod format;
mod guard;
mod lines;
mod metrics;
mod otlp;
mod output;
pub mod recent;
mod resource;
mod scope;
mod traceparent;

pub use self::{
    carrier::Carrier,
    config::{Config, Format},
    error::Error,
    guard::{Guard, init, observed},
    lines::{log_filter, set_log_filter},
    metrics::prometheus_text,
    scope::{canary, deadline, link, remaining, scope, trace_id},
};
