//! A pool whose connections are checked out for one command each.

use std::{fmt, time::Duration};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, RecycleResult, Timeouts},
};
use deadpool_redis::Manager as SingleManager;
use futures::future::join_all;
use redis_rs::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
};
use resilience::Backoff;
use tokio::time::sleep;

use crate::{Error, config::Config};

/// How long a connection may take to be made, to become free, and to answer; callers have limits of their own, too.
const TIMEOUT: Duration = Duration::from_secs(1);
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

enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Connection> {
        match self {
            Self::Single(manager) => manager.create().await.map(Connection::Single),
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }

    /// Does not ping the server: a command that finds its connection broken is retried on another.
    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<RedisError> {
        Ok(())
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
        let mut connection = self.connections.get().await.map_err(|error| Error::NoConnection(error.into()))?;
        let mut answer = connection.query(command).await;
        if let (Err(error), Some(with_source)) = (&answer, with_source)
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            answer = connection.query(&with_source()).await;
        }
        if let (Err(error), Connection::Single(_)) = (&answer, &*connection)
            && (error.is_unrecoverable_error() || is_demoted(error))
        {
            // The server closed this connection, or is not the one to write to any more and its address may be
            // another's; the other ones to it are no better.
            drop(Object::take(connection));
            self.connections.retain(|_, _| false);
        }
        Ok(answer?)
    }
}

impl Connection {
    async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
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
        Error::NoConnection(_) | Error::InvalidUrl(_) => false,
    }
}
