#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod carrier;
mod config;
mod database;
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
    database::DatabaseCall,
    error::Error,
    guard::{Guard, init, observed},
    lines::{log_filter, set_log_filter},
    metrics::prometheus_text,
    scope::{background, canary, carried, deadline, link, remaining, scope, trace_id},
};
