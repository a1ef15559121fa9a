//! The bus on a real Kafka that asks for TLS and a login: `make kafka-tls`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod broker;
mod logins;
mod refusals;
mod renewal;
