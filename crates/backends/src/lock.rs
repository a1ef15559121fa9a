//! The backends of locks.

use std::sync::Arc;

use ::lock::{Backend, Memory};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    adapter::{Adapter, adapter, choose},
};

type Open = fn(&str, &TaskTracker, &CancellationToken) -> Result<Arc<dyn Backend>, Error>;

/// One line an adapter.
const BACKENDS: &[Adapter<Open>] = &[
    Adapter { schemes: &["memory"], feature: "memory", open: Some(memory) },
    adapter!("redis", ["redis", "rediss", "redis+cluster", "rediss+cluster"], redis),
];

/// Opens the backend of locks that `url` names.
///
/// What a backend does in the background runs on `tracker` until `stop`.
///
/// # Errors
///
/// The scheme is unknown or was left out of the build, or the URL cannot be read.
pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Backend>, Error> {
    choose(BACKENDS, url)?(url, tracker, stop)
}

fn memory(url: &str, _: &TaskTracker, _: &CancellationToken) -> Result<Arc<dyn Backend>, Error> {
    if url != "memory:" {
        return Err(Error::open("locks in memory have no address: write memory:"));
    }
    Ok(Arc::new(Memory::new(clock::system())))
}

#[cfg(feature = "redis")]
fn redis(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(::lock::Redis::open(url, tracker, stop).map_err(Error::open)?))
}
