//! The service through its router, on embedded backends, with a stand-in for payment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod cancelling;
mod closing;
mod events;
mod fulfilling;
mod lists;
mod payment;
mod placing;
mod products;
mod refusals;
mod saga;
mod shop;
mod surface;
