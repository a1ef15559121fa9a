#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod attributes;
mod bus;
mod config;
mod consumer;
mod difference;
mod error;
mod event;
mod metrics;
mod outbox;
pub mod partitioned;
mod relay;
#[cfg(feature = "suite")]
pub mod suite;
mod tail;
mod track;
mod unreadable;

pub use bus::{Bus, Cause, DEAD_LETTERS, DeadLetter, Delivery, Reason, Resolution, Subscription, Suspicion, Tag};
pub use config::Config;
pub use consumer::{Consumer, Handler, HandlerError, Policy};
pub use difference::Difference;
pub use error::Error;
pub use event::{Effects, Event, Receipt};
pub use outbox::{DeadRow, Depth, MORE, Outbox, OutboxRow, PRUNED, Recorded};
pub use relay::{Relay, Wake};
pub use tail::{Cursor, NoCursor, Position, Tail, Tailed};
pub use telemetry::Carrier;
pub use track::Track;
pub use unreadable::unreadable;
