//! Events between services: envelope, bus port, outbox, relay, inbox and consumer runtime.
//!
//! A service stores its events with its state in one transaction ([`Effects`] are given to the adapter's `record`), the [`Relay`]
//! carries them from the [`Outbox`] to the [`Bus`], and a [`Consumer`] hands them to a [`Handler`], which stores what
//! they cause together with the [`Receipt`] that makes a second delivery do nothing.
//! What is promised and what is not stands in the crate's README.
#![warn(missing_docs)]

mod attributes;
mod bus;
mod config;
mod consumer;
mod error;
mod event;
mod metrics;
mod outbox;
pub mod partitioned;
mod relay;
#[cfg(feature = "suite")]
pub mod suite;
mod track;

pub use bus::{Bus, Cause, DeadLetter, Delivery, Reason, Subscription, Suspicion, Tag};
pub use config::Config;
pub use consumer::{Consumer, Failure, Handler, Policy};
pub use error::Error;
pub use event::{Effects, Event, Receipt};
pub use outbox::{Depth, Outbox, OutboxRow, Recorded};
pub use relay::{Relay, Wake, backoff};
pub use telemetry::Carrier;
pub use track::Track;
