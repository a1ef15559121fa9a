#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Locks`] takes locks, a [`Guard`] holds one, a [`Lease`] is what may be handed around of it.
//! [`Backend`] is the port behind them; [`Memory`] is its adapter for one process, [`Redis`] the one for many.
//! [`FencedValues`] and [`Lease::verify_write`] refuse late writes.

mod backend;
mod error;
mod fenced;
mod guard;
mod lease;
mod locks;
mod memory;
mod metrics;
mod policy;
mod redis;
#[cfg(feature = "suite")]
pub mod suite;

pub use self::redis::Redis;
pub use backend::{Acquired, Backend, Owner, Request, Waiting};
pub use error::{BoxError, Error};
pub use fenced::FencedValues;
pub use guard::Guard;
pub use lease::Lease;
pub use locks::Locks;
pub use memory::Memory;
pub use policy::Policy;
