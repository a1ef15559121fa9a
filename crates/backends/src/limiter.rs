//! The rate limiters.

use std::sync::Arc;

use ::limit::{Limiter, Memory};

use crate::{
    Error,
    adapter::{Adapter, adapter, choose},
};

type Open = fn(&str) -> Result<Arc<dyn Limiter>, Error>;

/// One line an adapter.
const LIMITERS: &[Adapter<Open>] = &[
    Adapter { schemes: &["memory"], feature: "memory", open: Some(memory) },
    adapter!("redis", ["redis", "rediss", "redis+cluster", "rediss+cluster"], redis),
];

/// Opens the rate limiter that `url` names.
///
/// # Errors
///
/// The scheme is unknown or was left out of the build, or the URL cannot be read.
pub fn open(url: &str) -> Result<Arc<dyn Limiter>, Error> {
    choose(LIMITERS, url)?(url)
}

fn memory(url: &str) -> Result<Arc<dyn Limiter>, Error> {
    if url != "memory:" {
        return Err(Error::open("a rate limiter in memory has no address: write memory:"));
    }
    Ok(Arc::new(Memory::default()))
}

#[cfg(feature = "redis")]
fn redis(url: &str) -> Result<Arc<dyn Limiter>, Error> {
    Ok(Arc::new(::redis::Limiter::open(url).map_err(Error::open)?))
}
