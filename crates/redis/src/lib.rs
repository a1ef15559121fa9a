#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
mod feed;
mod pool;
mod script;

use std::sync::Arc;

pub use feed::{Ear, Feed};
pub use redis_rs::{FromRedisValue, Value};
pub use script::Script;

use address::Address;
use pool::Pool;

/// What keeps Redis from answering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be read. The text holds no password.
    #[error("redis address: {0}")]
    Address(String),
    /// No connection was free, or none could be made, in time.
    #[error("no connection to redis")]
    NoConnection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A command failed.
    #[error("redis failed")]
    Failed(#[from] redis_rs::RedisError),
}

/// A server or a cluster. Cheap to clone; connects when it is first used.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    pool: Pool,
}

impl Redis {
    /// Whether a URL with this scheme is one for Redis.
    pub fn knows(scheme: &str) -> bool {
        matches!(scheme, "redis" | "rediss" | "redis+cluster" | "rediss+cluster")
    }

    /// Reads the URL and opens nothing yet.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Address`] with what to write instead.
    pub fn open(url: &str) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        let pool = Pool::new(&address)?;
        Ok(Self(Arc::new(Inner { address, pool })))
    }

    /// What the names of keys and channels begin with.
    pub fn prefix(&self) -> &str {
        &self.0.address.prefix
    }

    /// Opens the connections that are wanted at the start; one that cannot be opened is opened when it is needed.
    pub async fn warm_up(&self) {
        self.0.pool.warm_up(self.0.address.idle).await;
    }

    /// Runs a script on keys of one slot.
    ///
    /// It is repeated when its connection breaks, so it must come to the same when it runs twice.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the script ran.
    pub async fn eval<T: FromRedisValue>(&self, script: &Script, keys: &[&str], args: &[&[u8]]) -> Result<T, Error> {
        self.0.pool.run(&script.by_hash(keys, args), Some(&|| script.whole(keys, args))).await
    }

    /// The bytes under a key.
    ///
    /// # Errors
    ///
    /// Returns what keeps Redis from answering.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut command = redis_rs::cmd("GET");
        command.arg(key);
        self.0.pool.run(&command, None).await
    }

    /// Fields of the hash under a key, each present or not.
    ///
    /// # Errors
    ///
    /// Returns what keeps Redis from answering, or that it is something else than asked for.
    pub async fn hash<T: FromRedisValue>(&self, key: &str, fields: &[&str]) -> Result<T, Error> {
        let mut command = redis_rs::cmd("HMGET");
        command.arg(key).arg(fields);
        self.0.pool.run(&command, None).await
    }

    async fn publish(&self, channel: &str, message: &[u8]) -> Result<(), Error> {
        let mut command = redis_rs::cmd("PUBLISH");
        command.arg(channel).arg(message);
        self.0.pool.run(&command, None).await
    }
}
