//! Accounts, sessions and signing keys: who somebody is, how they prove it, and how an account ends.
//!
//! `domain` holds the rules, `app` the use cases and the ports they need, `api` translates HTTP, gRPC and events,
//! `adapters` implement the ports, and `wiring` is the only place that names both a port and its adapter.
#![warn(missing_docs)]

pub mod adapters;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod wiring;
