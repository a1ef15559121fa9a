#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Cache`] is what a use case asks; it shares one load among all who ask at the same time.
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

pub use cache::Cache;
pub use error::{BoxError, Error, LoadError};
pub use memory::Memory;
pub use policy::Policy;
pub use store::{Ask, Entry, Fill, Found, Listener, Reach, Store, Token};

use std::sync::Arc;

use tokio_util::task::TaskTracker;

/// Opens the store that `url` names: `memory:`.
///
/// What a store does in the background runs on the tracker; `memory:` does nothing there.
///
/// # Errors
///
/// Returns [`Error::UnknownScheme`] for any other URL.
pub fn open(url: &str, _tracker: &TaskTracker) -> Result<Arc<dyn Store>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new(clock::system()))),
        _ => Err(Error::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
