//! Products, stock and orders.
//!
//! An order is placed with its stock and its event in one transaction, then carried through payment by one idempotent
//! function (`app/advance.rs`) that requests, events and the sweeper call alike. Dependencies point inward:
//! `api → app → domain`, `adapters → app, domain`, `wiring → all`.
#![warn(missing_docs)]

pub mod adapters;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod wiring;
