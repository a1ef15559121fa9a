//! Connections that are lent for one command each.

use std::{fmt, time::Duration};

use deadpool::{
    Runtime,
    managed::{self, Metrics, Object, RecycleResult, Timeouts},
};
use deadpool_redis::Manager as Single;
use futures::future::join_all;
use redis_rs::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
};
use tokio::time::sleep;

use crate::{Error, address::Address};

/// How long a connection may take to be made, or to become free; callers have limits of their own, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before the first repetition, doubled for each further one.
const PAUSE: Duration = Duration::from_millis(10);

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
    Single(Box<Single>),
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

    /// Nothing is asked of the server: a command that finds its connection broken is repeated on another.
    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<RedisError> {
        Ok(())
    }
}

impl Pool {
    pub(crate) fn new(address: &Address) -> Result<Self, Error> {
        let manager = if address.cluster {
            let client = ClusterClientBuilder::new(address.servers.clone())
                .retries(address.retries)
                .max_retry_wait(200)
                .connection_timeout(PATIENCE)
                .response_timeout(PATIENCE)
                .build()?;
            Manager::Cluster(Box::new(client))
        } else {
            let [server] = &address.servers[..] else { return Err(Error::Address("one server".to_owned())) };
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE));
            Manager::Single(Box::new(Single::new_with_config(server.clone(), config)?))
        };
        let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: None };
        let connections = managed::Pool::builder(manager)
            .max_size(address.pool)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::NoConnection(error.into()))?;
        Ok(Self { connections, retries: address.retries })
    }

    pub(crate) async fn warm_up(&self, count: usize) {
        // Those that fail are made when they are needed.
        drop(join_all((0..count).map(|_| self.connections.get())).await);
    }

    /// Sends `command`, and `whole` instead of it where the server does not know the script.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        command: &Cmd,
        whole: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            // On the heap, or it makes the future of every caller large.
            let error = match Box::pin(self.once(command, whole)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt == self.retries || !may_pass(&error) {
                return Err(error);
            }
            sleep(PAUSE * 2_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    async fn once<T: FromRedisValue>(
        &self,
        command: &Cmd,
        whole: Option<&(dyn Fn() -> Cmd + Sync)>,
    ) -> Result<T, Error> {
        let mut connection = self.connections.get().await.map_err(|error| Error::NoConnection(error.into()))?;
        let mut answer = connection.query(command).await;
        if let (Err(error), Some(whole)) = (&answer, whole)
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            answer = connection.query(&whole()).await;
        }
        if let (Err(error), Connection::Single(_)) = (&answer, &*connection)
            && error.is_unrecoverable_error()
        {
            // The server is gone, and what connects the others to it, too.
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

/// Whether another try may come to something else.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Failed(error) => {
            error.is_unrecoverable_error()
                || error.is_cluster_error()
                || matches!(
                    error.kind(),
                    ErrorKind::Server(
                        ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::ReadOnly
                    )
                )
        }
        Error::NoConnection(_) | Error::Address(_) => false,
    }
}
