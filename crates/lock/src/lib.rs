#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
//!
//! # Where things are
//!
//! [`Locks`] takes locks, a [`Guard`] holds one, a [`Lease`] is what may be handed around of it.
//! [`Backend`] is the port behind them; [`Memory`] is its adapter for one process, [`Redis`] the one for many.
//! [`Fenced`] and [`Lease::wrote`] refuse late writes; [`postgres`] has locks of one transaction.

mod backend;
mod error;
mod fenced;
mod guard;
mod lease;
mod locks;
mod memory;
mod metrics;
pub mod postgres;
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

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Opens the backend that `url` names: `memory:`, `redis://…` or `redis+cluster://…`.
///
/// What a backend does in the background runs on `tracker` until `stop`.
///
/// # Errors
///
/// Returns [`Error::UnknownScheme`] for any other URL, and [`Error::Unavailable`] for one that cannot be read.
pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Backend>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new(clock::system()))),
        Some((scheme, _)) if ::redis::Redis::knows(scheme) => {
            let backend = Redis::open(url, tracker, stop).map_err(|error| Error::Unavailable(error.into()))?;
            Ok(Arc::new(backend))
        }
        _ => Err(Error::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
