#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Cache`] is what use cases have; it shares one load among all who want the same value at the same time.
//! [`Store`] is the port behind it, with leases and generations; [`Memory`] is its adapter for one process.

mod cache;
mod codec;
mod error;
mod flights;
mod load;
mod memory;
mod metrics;
mod policy;
mod store;
#[cfg(feature = "suite")]
pub mod suite;
mod tags;
mod typed_store;
mod values;

pub use cache::Cache;
pub use error::{BoxError, LoadError};
pub use memory::Memory;
pub use policy::Policy;
pub use store::{Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, Lookup, Store};
