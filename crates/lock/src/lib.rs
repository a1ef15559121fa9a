#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Locks`] takes locks, a [`Guard`] holds one, a [`Lease`] is what may be handed around of it.
//! [`Backend`] is the port behind them; [`Memory`] is its adapter for one process.

mod backend;
mod error;
mod guard;
mod lease;
mod locks;
mod memory;
mod metrics;
#[cfg(feature = "suite")]
pub mod suite;

pub use backend::{Acquired, Backend, Owner, Request, Turn};
pub use error::{BoxError, Error};
pub use guard::Guard;
pub use lease::Lease;
pub use locks::{Locks, Policy};
pub use memory::Memory;

use std::sync::Arc;

/// Opens the backend that `url` names: `memory:`.
///
/// # Errors
///
/// Returns [`Error::UnknownScheme`] for any other URL.
pub fn open(url: &str) -> Result<Arc<dyn Backend>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new(clock::system()))),
        _ => Err(Error::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
