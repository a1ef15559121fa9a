//! A pool of connections.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, UpDownCounter},
};
use semconv::{attributes, metrics};
use sqlx::{Connection as _, Database, Describe, Either, Error, Execute, Executor, SqlSafeStr, SqlStr};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    Connection, Transaction,
    lent::{Lender, Lent},
    query::Taken,
    statement::Statement,
};

static PENDING: LazyLock<UpDownCounter<i64>> =
    LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_PENDING_REQUESTS.instrument());
static TIMEOUTS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::DB_CLIENT_CONNECTION_TIMEOUTS.instrument());

/// How long the database may take to say why there is no connection.
const REFUSAL: Duration = Duration::from_millis(500);

/// Says why a pool cannot be used.
type Check = Arc<dyn Fn() -> Result<(), Error> + Send + Sync>;

/// A pool whose statements are measured. Cheap to clone.
pub struct Pool<DB: Database> {
    inner: sqlx::Pool<DB>,
    lender: Arc<Lender<DB>>,
    /// How long an answer may take.
    limit: Option<Duration>,
    /// What is asked before each use.
    check: Option<Check>,
    /// Held by the one that asks why there is no connection.
    asking: Arc<Mutex<()>>,
    name: KeyValue,
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        let (lender, asking, check) = (Arc::clone(&self.lender), Arc::clone(&self.asking), self.check.clone());
        Self { inner: self.inner.clone(), lender, limit: self.limit, check, asking, name: self.name.clone() }
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
        let lender = Arc::new(Lender::new(&pool));
        let (limit, check, asking) = (None, None, Arc::default());
        let pool = Self { inner: pool, lender, limit, check, asking, name: attributes::DB_POOL_NAME.of(name) };
        pool.observe();
        pool
    }

    /// Sets how long the database may take to answer a statement, `BEGIN` and `COMMIT` included; what takes longer is an error
    /// of the network, and its connection is closed. For ever where this is not called.
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Has this asked before each use: with what it fails, every statement fails.
    pub fn with_check(mut self, check: impl Fn() -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    fn observe(&self) {
        // From nothing: what rises to one in its first moment has no rate, and nobody is woken.
        TIMEOUTS.add(0, std::slice::from_ref(&self.name));
        let (max, count) = (self.clone(), self.clone());
        metrics::DB_CLIENT_CONNECTION_MAX.observe(move |observer| {
            observer.observe(max.inner.options().get_max_connections().into(), std::slice::from_ref(&max.name));
        });
        metrics::DB_CLIENT_CONNECTION_COUNT.observe(move |observer| {
            let used = i64::from(count.lender.lent());
            let idle = i64::from(count.inner.size()).saturating_sub(used).max(0);
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
    pub async fn acquire(&self) -> Result<Connection<DB>, Error> {
        self.connection().await.map(Connection::new)
    }

    async fn connection(&self) -> Result<Lent<DB>, Error> {
        self.check.as_ref().map_or(Ok(()), |check| check())?;
        let _pending = Pending::new(&self.name);
        let acquired = self.lender.lend(&self.inner, self.limit).await;
        if matches!(acquired, Err(Error::PoolTimedOut)) {
            TIMEOUTS.add(1, std::slice::from_ref(&self.name));
            // sqlx tries to connect until the time is over, and does not say what it has tried in vain.
            return Err(self.refusal().await.unwrap_or(Error::PoolTimedOut));
        }
        acquired
    }

    /// Why the database takes no connection, within half a second; nothing where it takes one, or does not say.
    pub async fn refusal(&self) -> Option<Error> {
        let ask = async {
            let _one = self.asking.lock().await;
            DB::Connection::connect_with(&self.inner.connect_options()).await
        };
        timeout(REFUSAL, ask).await.ok()?.err()
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
            Ok(connection) => Transaction::begin(connection, begin).await,
            Err(error) => Err(error),
        };
        statement.ended(&transaction);
        transaction
    }

    /// Whether a statement has failed, or a transaction was given up, since this was asked last; true the first time.
    pub fn take_doubt(&self) -> bool {
        self.lender.take_doubt()
    }

    /// Has [`Self::take_doubt`] say so once more.
    pub fn doubt(&self) {
        self.lender.doubt();
    }

    /// Closes all connections once they are idle.
    pub async fn close(&self) {
        self.lender.close();
        self.inner.close().await;
    }

    /// The pool itself, for what is no statement.
    pub fn raw(&self) -> &sqlx::Pool<DB> {
        &self.inner
    }
}

/// Executes the query on a connection of the pool.
macro_rules! on_a_connection {
    ($pool:expr, $query:expr, |$connection:ident, $taken:ident| $answer:expr) => {{
        let (pool, $taken) = ($pool.clone(), Taken::from($query));
        let mut statement = Statement::begin::<DB>($taken.text());
        async move {
            let result = match pool.connection().await {
                Ok(mut lent) => {
                    let ($connection, condition) = lent.parts();
                    let result = condition.limited($answer).await;
                    condition.answered(&result);
                    result
                }
                Err(error) => Err(error),
            };
            statement.ended(&result);
            result
        }
        .boxed()
    }};
}

/// The first row, once all has been read: an error may come after it, as that of a commit does.
async fn first<R, Q>(mut steps: impl Stream<Item = Result<Either<R, Q>, Error>> + Unpin) -> Result<Option<Q>, Error> {
    let mut first = None;
    while let Some(step) = steps.try_next().await? {
        if let Either::Right(row) = step {
            first.get_or_insert(row);
        }
    }
    Ok(first)
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
        on_a_connection!(self, query, |connection, query| connection.execute(query))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<DB::QueryResult, DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        // All steps at once: what shall be read step by step is read on a connection.
        let steps =
            on_a_connection!(self, query, |connection, query| connection.fetch_many(query).try_collect::<Vec<_>>());
        let steps = steps.into_stream().map_ok(|steps| stream::iter(steps.into_iter().map(Ok)));
        steps.try_flatten().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        on_a_connection!(self, query, |connection, query| connection.fetch_all(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        on_a_connection!(self, query, |connection, query| first(connection.fetch_many(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move {
            let mut lent = pool.connection().await?;
            let (connection, condition) = lent.parts();
            condition.limited(connection.prepare_with(sql, parameters)).await
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        async move {
            let mut lent = pool.connection().await?;
            let (connection, condition) = lent.parts();
            condition.limited(connection.describe(sql)).await
        }
        .boxed()
    }
}
