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

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Opens the store that `url` names: `memory:`, `redis://…` or `redis+cluster://…`.
///
/// What a store does in the background runs on `tracker` until `stop`; `memory:` does nothing there.
///
/// # Errors
///
/// Returns [`Error::UnknownScheme`] for any other URL, and [`Error::Address`] for one that cannot be read.
pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Store>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new(clock::system()))),
        Some((scheme, _)) if ::redis::Redis::knows(scheme) => {
            let store = Redis::open(url, tracker, stop).map_err(|error| Error::Address(error.into()))?;
            Ok(Arc::new(store))
        }
        _ => Err(Error::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
