//! The Helm chart, rendered for each service and each switch: what reaches a cluster is safe, and fits the binaries.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of them")]
#![allow(clippy::panic, reason = "the same")]

mod checkers;
mod edges;
mod mesh;
mod metrics;
mod monitoring;
mod pods;
mod ports;
mod render;
mod settings;
mod values;
