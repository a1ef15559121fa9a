#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod memory;
#[cfg(feature = "suite")]
pub mod suite;

use std::time::Duration;

use async_trait::async_trait;

pub use memory::Memory;

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Permits that are there at first, and at most.
    pub burst: u32,
    /// How long until one permit more is there.
    pub refill: Duration,
}

impl Quota {
    /// How long until all permits are there again when none is.
    pub fn window(self) -> Duration {
        self.refill * self.burst
    }
}

/// Whether it may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; a permit is taken.
    Allowed,
    /// No permit is there.
    Refused {
        /// How long until one is.
        retry_after: Duration,
    },
}

/// The limiter could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter is not available")]
pub struct Error(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Counts permits by key.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Takes a permit of a key, if one is there. Asked again after an error, it may take two.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    async fn take(&self, key: &str, quota: Quota) -> Result<Decision, Error>;

    /// Gives a permit back that was taken.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    async fn give_back(&self, key: &str, quota: Quota) -> Result<(), Error>;

    /// Has all permits of a key there again.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    async fn reset(&self, key: &str) -> Result<(), Error>;
}
