//! The database, outbox and inbox, and the locks of a transaction on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod astray;
mod contract;
mod database;
mod hosts;
mod killed;
mod lock;
mod schema;
