//! Processes that die, on the embedded store and bus, and on PostgreSQL with NATS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod matrix;
mod store;
mod traps;
mod worker;
