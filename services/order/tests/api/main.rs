//! The service through its router, on embedded backends, with a fake payment service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod app;
mod cancelling;
mod closing;
mod customers;
mod events;
mod fulfilling;
mod graphql;
mod lists;
mod outside;
mod payment;
mod placing;
mod products;
mod refusals;
mod saga;
mod search;
mod search_server;
mod stream;
mod surface;
