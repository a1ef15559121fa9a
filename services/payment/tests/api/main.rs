//! Payment from outside: gRPC on a real port, the webhook through the router, events through the handler.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod app;
mod audit;
mod commands;
mod comparison;
mod crash;
mod credentials;
mod events;
mod faulty_provider;
mod housekeeping;
mod idempotency;
mod lost_commit;
mod service;
mod tokens;
mod webhook;
