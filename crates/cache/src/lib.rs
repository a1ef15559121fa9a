#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Cache`] is what a use case asks; it shares one load among all who ask at the same time.
//! [`Store`] is the port behind it, with leases and generations; [`Memory`] is its adapter for one process,
//! [`Redis`] the one for many.

mod cache;
mod codec;
mod error;
mod flights;
mod load;
mod memory;
mod metrics;
mod policy;
mod redis;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod tags;
mod values;

pub use self::redis::Redis;
pub use cache::Cache;
pub use error::{BoxError, Error, LoadError};
pub use memory::Memory;
pub use policy::Policy;
pub use store::{Ask, Entry, Fill, Found, Listener, Reach, Store, Token};
