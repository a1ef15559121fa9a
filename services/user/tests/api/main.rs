//! The service as its callers see it: through the router with the chassis' layers, and over gRPC.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod app;
mod attempts;
mod closing;
mod events;
mod fuzz;
mod grpc;
mod housekeeping;
mod internal;
mod keys;
mod login;
mod mail;
mod mail_queue;
mod notifications;
mod operators;
mod order_stand_in;
mod own_sessions;
mod passwords;
mod secrecy;
mod sessions;
mod surface;
mod sweeping;
mod use_cases;
mod users;
