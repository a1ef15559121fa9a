//! The Helm chart, rendered for each service and each switch: what reaches a cluster is safe, and fits the binaries.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of them")]

mod edges;
mod pods;
mod render;
mod settings;
