//! The adapter for NATS `JetStream` on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod answers;
mod away;
mod cluster;
mod contract;

mod limits;
mod log;
mod support;
mod tail;
mod takeover;
mod tls;
