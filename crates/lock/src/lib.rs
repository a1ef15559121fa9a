#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Locks`] takes locks, a [`Guard`] holds one, a [`Lease`] is what may be handed around of it.
//! [`Backend`] is the port behind them; [`Memory`] is its adapter for one process, [`Redis`] the one for many.
//! [`Fenced`] and [`Lease::wrote`] refuse late writes.

mod backend;
mod error;
mod fenced;
mod guard;
mod lease;
mod locks;
mod memory;
mod metrics;
mod redis;
#[cfg(feature = "suite")]
pub mod suite;

pub use self::redis::Redis;
pub use backend::{Acquired, Backend, Owner, Request, Turn};
pub use error::{BoxError, Error};
pub use fenced::Fenced;
pub use guard::Guard;
pub use lease::Lease;
pub use locks::{Locks, Policy};
pub use memory::Memory;
