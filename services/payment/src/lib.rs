//! Payments for orders, and the double-entry ledger that accounts for them.
//!
//! One order has one payment. Whatever the provider is asked to do is stored as an intent first, is given
//! an idempotency key, and is found out about before it is asked again; so whoever kills this process at
//! any point finds nobody charged twice.
//!
//! - [`domain`]: the payment's state machine and what it books
//! - [`app`]: the use cases and their ports
//! - [`adapters`]: `SQLite`, `PostgreSQL` and the sandbox provider
//! - [`api`]: gRPC, the provider's webhook, events
//! - [`config`], [`wiring`]: what is configured, and how it is put together
#![warn(missing_docs)]

pub mod adapters;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod wiring;
