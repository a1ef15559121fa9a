//! A pool of connections.

use std::{fmt, sync::LazyLock};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};
use semconv::{attributes, metrics};
use sqlx::{Database, Describe, Error, Execute, Executor, SqlSafeStr, SqlStr, pool::PoolConnection};

use crate::{Connection, Transaction, query::Taken, statement::Statement};

static PENDING: LazyLock<UpDownCounter<i64>> =
    LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_PENDING_REQUESTS.instrument());
static TIMEOUTS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_TIMEOUTS.instrument());

/// A pool whose statements are measured. Cheap to clone.
pub struct Pool<DB: Database> {
    pool: sqlx::Pool<DB>,
    name: KeyValue,
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), name: self.name.clone() }
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name.value).finish_non_exhaustive()
    }
}

/// Counts a request as pending for as long as it lives.
struct Pending<'a>(&'a KeyValue);

impl<'a> Pending<'a> {
    fn new(pool: &'a KeyValue) -> Self {
        PENDING.add(1, std::slice::from_ref(pool));
        Self(pool)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        PENDING.add(-1, std::slice::from_ref(self.0));
    }
}

impl<DB: Database> Pool<DB> {
    /// Measures this pool under that name, for as long as the process lives.
    pub fn new(pool: sqlx::Pool<DB>, name: String) -> Self {
        let pool = Self { pool, name: attributes::DB_POOL_NAME.of(name) };
        pool.observe();
        pool
    }

    fn observe(&self) {
        // From nothing: what rises to one in its first moment has no rate, and nobody is woken.
        TIMEOUTS.add(0, std::slice::from_ref(&self.name));
        let (max, count) = (self.clone(), self.clone());
        metrics::DB_CLIENT_CONNECTION_MAX.observe(move |observer| {
            observer.observe(max.pool.options().get_max_connections().into(), std::slice::from_ref(&max.name));
        });
        metrics::DB_CLIENT_CONNECTION_COUNT.observe(move |observer| {
            let idle = i64::try_from(count.pool.num_idle()).unwrap_or(i64::MAX);
            let used = i64::from(count.pool.size()).saturating_sub(idle).max(0);
            for (state, connections) in [("idle", idle), ("used", used)] {
                observer.observe(connections, &[count.name.clone(), attributes::DB_CONNECTION_STATE.of(state)]);
            }
        });
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// None was free in time, or none can be opened.
    pub async fn acquire(&self) -> Result<Connection<DB, PoolConnection<DB>>, Error> {
        self.connection().await.map(Connection::new)
    }

    async fn connection(&self) -> Result<PoolConnection<DB>, Error> {
        let _pending = Pending::new(&self.name);
        let acquired = self.pool.acquire().await;
        if matches!(acquired, Err(Error::PoolTimedOut)) {
            TIMEOUTS.add(1, std::slice::from_ref(&self.name));
        }
        acquired
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// No connection was free in time, or the database refuses.
    pub async fn begin(&self) -> Result<Transaction<DB>, Error> {
        self.begun(None).await
    }

    /// Begins a transaction by this statement.
    ///
    /// # Errors
    ///
    /// No connection was free in time, or the database refuses.
    pub async fn begin_with(&self, begin: impl SqlSafeStr) -> Result<Transaction<DB>, Error> {
        self.begun(Some(begin.into_sql_str())).await
    }

    /// Waits for a connection and begins on it: what begins waits for the database, and not for the pool.
    async fn begun(&self, begin: Option<SqlStr>) -> Result<Transaction<DB>, Error> {
        let mut statement = Statement::begin::<DB>("BEGIN");
        let transaction = match self.connection().await {
            Ok(connection) => sqlx::Transaction::begin(connection, begin).await,
            Err(error) => Err(error),
        };
        statement.ended(&transaction);
        transaction.map(Transaction::new)
    }

    /// Closes all connections once they are idle.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The pool itself, for what is no statement.
    pub fn raw(&self) -> &sqlx::Pool<DB> {
        &self.pool
    }
}

/// Executes the query on a connection of the pool by that method.
macro_rules! on_a_connection {
    ($pool:expr, $query:expr, $method:ident) => {{
        let (pool, query) = ($pool.clone(), Taken::from($query));
        let mut statement = Statement::begin::<DB>(query.text());
        async move {
            let result = match pool.connection().await {
                Ok(mut connection) => connection.$method(query).await,
                Err(error) => Err(error),
            };
            statement.ended(&result);
            result
        }
        .boxed()
    }};
}

impl<'p, DB> Executor<'p> for &'_ Pool<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        on_a_connection!(self, query, execute)
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<sqlx::Either<DB::QueryResult, DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let query = Taken::from(query);
        let mut statement = Statement::begin::<DB>(query.text());
        self.pool.fetch_many(query).inspect(move |step| statement.ended(step)).boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        on_a_connection!(self, query, fetch_all)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        on_a_connection!(self, query, fetch_optional)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        self.pool.describe(sql)
    }
}
