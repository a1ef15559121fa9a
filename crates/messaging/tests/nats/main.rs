//! The adapter for NATS `JetStream` on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod contract;
mod killed;
mod tls;
