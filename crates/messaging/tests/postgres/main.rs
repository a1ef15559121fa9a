//! Outbox and inbox on a real PostgreSQL under the contract suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod contract;
mod killed;
mod schema;
