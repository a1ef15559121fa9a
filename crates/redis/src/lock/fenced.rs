//! Values on Redis that are written with a fence, so that a holder who was overtaken changes nothing.

use std::sync::LazyLock;

use lock::{Error, Lease};

use crate::{Client, Script};

static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("fenced.lua")));

/// Values on Redis, each with the fence of its last writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FencedValues(Client);

impl FencedValues {
    /// Keeps them on the server or cluster of `url`; connects when it is first used.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unavailable`] for a malformed URL.
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self(Client::open(url).map_err(|error| Error::Unavailable(error.into()))?))
    }

    /// Writes, unless a holder with a higher fence has written.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stale`] if one has, and [`Error::Unavailable`] when it is not known whether it was written.
    pub async fn write(&self, lease: &Lease, key: &str, value: &[u8]) -> Result<(), Error> {
        let fence = lease.fence().to_string();
        let written = self.0.eval(&WRITE, &[&self.key(key)], &[fence.as_bytes(), value]).await;
        lease.verify_write(written.map_err(|error| Error::Unavailable(error.into()))?)
    }

    /// The last value.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unavailable`] when Redis does not answer.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let fields: Result<(Option<Vec<u8>>,), _> = self.0.hash(&self.key(key), &["value"]).await;
        Ok(fields.map_err(|error| Error::Unavailable(error.into()))?.0)
    }

    fn key(&self, key: &str) -> String {
        format!("{}:fenced:{key}", self.0.prefix())
    }
}
