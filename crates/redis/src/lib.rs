#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cache;
mod config;
mod feed;
mod limit;
mod lock;
mod pool;
mod script;

use std::sync::Arc;

pub use self::{
    cache::CacheStore,
    limit::Limiter,
    lock::{LockBackend, fenced::FencedValues},
};
pub use feed::{Disconnected, Feed, Subscriber};
pub use redis_rs::{FromRedisValue, Value};
pub use script::Script;

use config::Config;
use pool::Pool;
use redis_rs::ErrorKind;

/// Redis did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is malformed. The text holds no password.
    #[error("invalid redis URL: {0}")]
    InvalidUrl(String),
    /// No connection was free, or none could be opened, in time.
    #[error("no connection to redis")]
    NoConnection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A command failed.
    #[error("redis failed")]
    Failed(#[from] redis_rs::RedisError),
    /// A command was answered with what cannot be read.
    #[error("unexpected answer from redis")]
    Unexpected(#[source] redis_rs::ParsingError),
}

/// What a server answers that serves nobody, or not us: whatever else it refuses is about the one command.
const REFUSALS: [&str; 7] = ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOAUTH", "NOPERM", "READONLY"];

impl Error {
    /// Whether the server did not answer, or refuses every command of this kind.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Failed(error) => match error.kind() {
                ErrorKind::Server(_) | ErrorKind::Extension => {
                    error.code().is_some_and(|code| REFUSALS.contains(&code))
                }
                _ => true,
            },
            Self::NoConnection(_) | Self::InvalidUrl(_) => true,
            Self::Unexpected(_) => false,
        }
    }

    /// Whether the key has a value that is none of ours.
    pub(crate) fn is_foreign_value(&self) -> bool {
        match self {
            Self::Failed(error) => error.code() == Some("WRONGTYPE"),
            Self::Unexpected(_) => true,
            Self::NoConnection(_) | Self::InvalidUrl(_) => false,
        }
    }
}

/// A client of one server or of a cluster. Cheap to clone; connects when it is first used.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    pool: Pool,
}

impl Client {
    /// Reads the URL and connects to nothing yet.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidUrl`] with what to write instead.
    pub fn open(url: &str) -> Result<Self, Error> {
        let config = Config::parse(url)?;
        let pool = Pool::new(&config)?;
        Ok(Self(Arc::new(Inner { config, pool })))
    }

    /// What the names of keys and channels begin with.
    pub fn prefix(&self) -> &str {
        &self.0.config.prefix
    }

    /// Opens the connections that the pool starts with; one that cannot be opened now is opened when it is needed.
    pub async fn warm_up(&self) {
        self.0.pool.warm_up(self.0.config.idle).await;
    }

    /// Runs a script on keys of one slot.
    ///
    /// It is retried when its connection breaks, so it must be idempotent.
    ///
    /// # Errors
    ///
    /// Any error leaves open whether the script ran.
    pub async fn eval<T: FromRedisValue>(&self, script: &Script, keys: &[&str], args: &[&[u8]]) -> Result<T, Error> {
        self.0.pool.run(&script.evalsha(keys, args), Some(&|| script.eval(keys, args))).await
    }

    /// The bytes under a key.
    ///
    /// # Errors
    ///
    /// Returns why Redis did not answer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut command = redis_rs::cmd("GET");
        command.arg(key);
        self.0.pool.run(&command, None).await
    }

    /// Removes a key.
    ///
    /// # Errors
    ///
    /// Returns why Redis did not answer.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let mut command = redis_rs::cmd("DEL");
        command.arg(key);
        self.0.pool.run(&command, None).await
    }

    /// Fields of the hash under a key, each present or not.
    ///
    /// # Errors
    ///
    /// Returns why Redis did not answer, or that the value is of another type.
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
