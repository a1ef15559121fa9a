//! Two versions, and two replicas, of each service behind a real Envoy, on real servers: who meets whom, and what a
//! rolling restart costs, and what a bad pod.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of them")]

mod canary;
mod chart;
mod collector;
mod envoy;
mod fleet;
mod outliers;
mod requests;
mod rolling;
