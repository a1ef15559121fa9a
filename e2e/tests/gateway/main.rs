//! The gateways say what `deploy/gateway/routes.yaml` says: APISIX, Kong, the chart for Gateway API and Istio, Envoy.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests, outside of them")]

mod apisix;
mod chart;
mod envoy;
mod kong;
mod openapi;
mod plugins;
mod problems;
mod public;
mod routes;
