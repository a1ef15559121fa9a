//! The bus on a real Kafka.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod contract;
mod replay;
mod strangers;
