//! Writes that carry their fence, so that a holder who was overtaken changes nothing.
//!
//! Kleppmann, "How to do distributed locking" (2016): the lock cannot keep a paused process from writing late; what
//! is written to can.

use std::sync::LazyLock;

use ::redis::{Redis as Server, Script};

use crate::{error::Error, lease::Lease, metrics::rejected};

static WRITE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/fenced.lua")));

impl Lease {
    /// Judges a write that was made on the condition `fence <= FENCE`, by how many rows it changed.
    ///
    /// ```sql
    /// UPDATE payment SET status = $1, fence = $2 WHERE id = $3 AND fence <= $2
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stale`] for none, and counts it: somebody with a higher fence has written since.
    pub fn wrote(&self, rows: u64) -> Result<(), Error> {
        if rows > 0 {
            return Ok(());
        }
        rejected();
        Err(Error::Stale { name: self.name().to_owned(), fence: self.fence() })
    }
}

/// Values on Redis that only rise with the fence of their writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fenced(Server);

impl Fenced {
    /// Keeps them on the server of `url`; connects when it is asked.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unavailable`] for a URL that cannot be read.
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self(Server::open(url).map_err(|error| Error::Unavailable(error.into()))?))
    }

    /// Writes unless somebody with a higher fence has.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Stale`] if so, and [`Error::Unavailable`] when it is not known whether it was written.
    pub async fn write(&self, lease: &Lease, key: &str, value: &[u8]) -> Result<(), Error> {
        let fence = lease.fence().to_string();
        let written = self.0.eval(&WRITE, &[&self.key(key)], &[fence.as_bytes(), value]).await;
        lease.wrote(written.map_err(|error| Error::Unavailable(error.into()))?)
    }

    /// The last value.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Unavailable`] when Redis does not say.
    pub async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let fields: Result<(Option<Vec<u8>>,), _> = self.0.hash(&self.key(key), &["value"]).await;
        Ok(fields.map_err(|error| Error::Unavailable(error.into()))?.0)
    }

    fn key(&self, key: &str) -> String {
        format!("{}:fenced:{key}", self.0.prefix())
    }
}
