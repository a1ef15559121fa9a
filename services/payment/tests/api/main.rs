//! Payment from outside: gRPC on a real port, the webhook through the router, events through the handler.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod audit;
mod commands;
mod crash;
mod credentials;
mod events;
mod faulty;
mod harness;
mod idempotency;
mod lost_commit;
mod tokens;
mod webhook;
mod whole;
