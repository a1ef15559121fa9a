//! Payments for orders, and the double-entry ledger that accounts for them.
//!
//! One order has one payment. Each operation is stored as an intent before the provider is called under an
//! idempotency key, and an outcome that was not stored is looked up by that key before anything is called again:
//! whoever kills this process at any point finds nobody charged twice.
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
