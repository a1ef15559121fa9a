#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Locks`] takes locks, a [`Guard`] holds one, a [`Lease`] is what may be handed around of it.
//! [`Backend`] is the port behind them; [`Memory`] is its adapter for one process.
//! [`Lease::verify_write`] tells of late writes that were refused.

mod backend;
mod error;
mod guard;
mod lease;
mod locks;
mod memory;
mod metrics;
mod policy;
#[cfg(feature = "suite")]
pub mod suite;

pub use backend::{Acquired, Backend, Owner, Request, Waiting};
pub use error::{BoxError, Error};
pub use guard::Guard;
pub use lease::Lease;
pub use locks::Locks;
pub use memory::Memory;
pub use policy::Policy;
