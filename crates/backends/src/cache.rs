//! The stores of a cache.

use std::sync::Arc;

use ::cache::{Memory, Store};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    adapter::{Adapter, adapter, choose},
};

type Open = fn(&str, &TaskTracker, &CancellationToken) -> Result<Arc<dyn Store>, Error>;

/// One line an adapter.
const STORES: &[Adapter<Open>] = &[
    Adapter { schemes: &["memory"], feature: "memory", open: Some(memory) },
    adapter!("redis", ["redis", "rediss", "redis+cluster", "rediss+cluster"], redis),
];

/// Opens the store of a cache that `url` names.
///
/// What a store does in the background runs on `tracker` until `stop`; `memory:` does nothing there.
///
/// # Errors
///
/// The scheme is unknown or was left out of the build, or the URL cannot be read.
pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Store>, Error> {
    choose(STORES, url)?(url, tracker, stop)
}

fn memory(url: &str, _: &TaskTracker, _: &CancellationToken) -> Result<Arc<dyn Store>, Error> {
    if url != "memory:" {
        return Err(Error::open("a cache in memory has no address: write memory:"));
    }
    Ok(Arc::new(Memory::new(clock::system())))
}

#[cfg(feature = "redis")]
fn redis(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(::cache::Redis::open(url, tracker, stop).map_err(Error::open)?))
}
