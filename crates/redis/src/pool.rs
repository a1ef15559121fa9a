//! A pool whose connections are checked out for one command each.

use std::{fmt, time::Duration};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, RecycleError, RecycleResult, Timeouts},
};
use deadpool_redis::Manager as SingleManager;
use futures::future::join_all;
use redis_rs::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
};
use resilience::Backoff;
use tokio::time::{Instant, sleep};

use crate::{
    Error,
    config::{Config, tcp_settings},
};

/// How long a connection may take to be made, to become free, and to answer. Callers have limits of their own; this is below
/// that of a lock, whose warning has the cause then.
const TIMEOUT: Duration = Duration::from_millis(800);
/// A caller who gives up sooner was in a hurry; later, the server did not answer.
pub(crate) const SILENCE: Duration = Duration::from_millis(250);
/// The pause before a retry.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));

pub(crate) struct Pool {
    connections: managed::Pool<Manager>,
    retries: u32,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.connections.status()).finish_non_exhaustive()
    }
}

enum Manager {
    Single(Box<SingleManager>),
    Cluster(Box<ClusterClient>),
}

struct Connection {
    link: Link,
    /// Whether it may be used again: not while a command on it has no answer.
    sound: bool,
}

enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A connection that is checked out for one command.
///
/// Dropped without an answer it is not used again: its peer may be gone without a word, and a connection says nothing of
/// that for a quarter of an hour.
struct Loan<'a> {
    connection: Object<Manager>,
    pool: &'a managed::Pool<Manager>,
    began: Instant,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Connection> {
        let link = match self {
            Self::Single(manager) => Link::Single(manager.create().await?),
            Self::Cluster(client) => Link::Cluster(client.get_async_connection().await?),
        };
        Ok(Connection { link, sound: true })
    }

    /// Does not ping the server: a command that finds its connection broken is retried on another.
    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<RedisError> {
        if connection.sound { Ok(()) } else { Err(RecycleError::message("its last command has no answer")) }
    }
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let manager = if config.cluster {
            let client = ClusterClientBuilder::new(config.servers.clone())
                .retries(config.retries)
                .max_retry_wait(200)
                .connection_timeout(TIMEOUT)
                .response_timeout(TIMEOUT)
                .tcp_settings(tcp_settings())
                .build()?;
            Manager::Cluster(Box::new(client))
        } else {
            let [server] = &config.servers[..] else { return Err(Error::InvalidUrl("one server".to_owned())) };
            let connection =
                AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
            Manager::Single(Box::new(SingleManager::new_with_config(server.clone(), connection)?))
        };
        let timeouts = Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: None };
        let connections = managed::Pool::builder(manager)
            .max_size(config.pool)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::NoConnection(error.into()))?;
        Ok(Self { connections, retries: config.retries })
    }

    pub(crate) async fn warm_up(&self, count: usize) {
        // Those that cannot be opened now are opened when they are needed.
        drop(join_all((0..count).map(|_| self.connections.get())).await);
    }

    /// Sends `command`, again after an error that may be gone by then, and `with_source` where the server does not know
    /// the script.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        command: &Cmd,
        with_source: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            // On the heap, or it makes the future of every caller large.
            let error = match Box::pin(self.attempt(command, with_source)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt == self.retries || !is_transient(&error) {
                return Err(error);
            }
            attempt += 1;
            sleep(BACKOFF.delay(attempt)).await;
        }
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        command: &Cmd,
        with_source: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<T, Error> {
        let connection = self.connections.get().await.map_err(|error| Error::NoConnection(error.into()))?;
        let mut loan = Loan { connection, pool: &self.connections, began: Instant::now() };
        let mut answer = loan.query(command).await;
        if let (Err(error), Some(with_source)) = (&answer, with_source)
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            answer = loan.query(&with_source()).await;
        }
        T::from_redis_value(answer?).map_err(Error::Unexpected)
    }
}

impl Loan<'_> {
    async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.connection.sound = false;
        let answer = match &mut self.connection.link {
            Link::Single(connection) => command.query_async(connection).await,
            Link::Cluster(connection) => command.query_async(connection).await,
        };
        if answer.as_ref().err().is_none_or(|error| self.connection.survives(error)) {
            self.connection.sound = true;
        } else {
            self.clear_pool();
        }
        answer
    }

    /// The other connections are to the same peer and no better.
    fn clear_pool(&self) {
        drop(self.pool.retain(|_, _| false));
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if !self.connection.sound && self.began.elapsed() >= SILENCE {
            self.clear_pool();
        }
    }
}

impl Connection {
    /// Whether it can be used after this error. Not if the server closed it, does not answer on it, or is not the one to
    /// write to any more and its address may be another's; a cluster's client sees to all but the second by itself.
    fn survives(&self, error: &RedisError) -> bool {
        let broken = error.is_unrecoverable_error() || is_demoted(error);
        !error.is_timeout() && (matches!(self.link, Link::Cluster(_)) || !broken)
    }
}

/// Whether the server follows another.
fn is_demoted(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// Whether the same command may succeed when it is sent again.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Failed(error) => {
            error.is_unrecoverable_error()
                || error.is_cluster_error()
                || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain))
                || is_demoted(error)
        }
        Error::NoConnection(_) | Error::Unexpected(_) | Error::InvalidUrl(_) => false,
    }
}
