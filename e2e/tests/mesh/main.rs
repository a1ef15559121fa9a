//! Two versions, and two replicas, of each service behind a real Envoy, on real servers: who meets whom, and what a
//! rolling restart costs.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of them")]

mod canary;
mod collector;
mod envoy;
mod fleet;
mod requests;
mod rolling;
