//! The adapter for RabbitMQ on a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod broken;
mod contract;

mod support;
mod takeover;
mod tls;
