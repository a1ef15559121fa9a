//! A transaction, and the connection that it is on.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use sqlx::{Connection as _, Database, Describe, Error, Execute, Executor, SqlStr};
use sqlx_core::transaction::TransactionManager as _;

use crate::{lent::Lent, query::Taken, statement::Statement};

/// A connection whose statements are measured: a pool's where nothing else is said.
pub struct Connection<DB: Database, C = Lent<DB>> {
    connection: C,
    database: PhantomData<fn() -> DB>,
}

impl<DB: Database, C: DerefMut<Target = DB::Connection>> Connection<DB, C> {
    /// Measures what is executed on this connection, which may be borrowed or a pool's.
    pub fn new(connection: C) -> Self {
        Self { connection, database: PhantomData }
    }

    /// Begins a part that can be undone by itself; outside a transaction it is one.
    ///
    /// # Errors
    ///
    /// The database refuses.
    pub async fn savepoint(&mut self) -> Result<Savepoint<'_, DB>, Error> {
        let mut statement = Statement::begin::<DB>("SAVEPOINT");
        let begun = self.connection.begin().await;
        statement.ended(&begun);
        begun.map(|part| Savepoint(Connection::new(part)))
    }

    pub(crate) fn raw(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database, C> fmt::Debug for Connection<DB, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction: dropped, it is rolled back.
#[derive(Debug)]
pub struct Transaction<DB: Database> {
    connection: Connection<DB>,
    open: bool,
}

impl<DB: Database> Transaction<DB> {
    /// Begins one by this statement, or by the database's own.
    pub(crate) async fn begin(mut connection: Lent<DB>, begin: Option<SqlStr>) -> Result<Self, Error> {
        DB::TransactionManager::begin(&mut connection, begin).await?;
        Ok(Self { connection: Connection::new(connection), open: true })
    }

    /// Makes lasting what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not say that it has.
    pub async fn commit(mut self) -> Result<(), Error> {
        let ended = measured::<DB>("COMMIT", DB::TransactionManager::commit(self.connection.raw())).await;
        self.ended(ended)
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not answer; it is undone all the same.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let ended = measured::<DB>("ROLLBACK", DB::TransactionManager::rollback(self.connection.raw())).await;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Result<(), Error>) -> Result<(), Error> {
        self.open = ended.is_err();
        self.connection.connection.answered(&ended);
        ended
    }
}

impl<DB: Database> Drop for Transaction<DB> {
    fn drop(&mut self) {
        if self.open {
            // Sent when sqlx takes the connection back, at the latest.
            DB::TransactionManager::start_rollback(self.connection.raw());
        }
    }
}

/// A part of a transaction: dropped, it is undone.
#[derive(Debug)]
pub struct Savepoint<'c, DB: Database>(Connection<DB, sqlx::Transaction<'c, DB>>);

impl<DB: Database> Savepoint<'_, DB> {
    /// Makes what was done in it a part of the transaction.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn release(self) -> Result<(), Error> {
        measured::<DB>("RELEASE SAVEPOINT", self.0.connection.commit()).await
    }

    /// Undoes what was done in it, and nothing else.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn rollback(self) -> Result<(), Error> {
        measured::<DB>("ROLLBACK SAVEPOINT", self.0.connection.rollback()).await
    }
}

async fn measured<DB: Database>(text: &str, end: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let mut statement = Statement::begin::<DB>(text);
    let ended = end.await;
    statement.ended(&ended);
    ended
}

impl<DB: Database> Deref for Transaction<DB> {
    type Target = Connection<DB>;

    fn deref(&self) -> &Connection<DB> {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Transaction<DB> {
    fn deref_mut(&mut self) -> &mut Connection<DB> {
        &mut self.connection
    }
}

impl<'c, DB: Database> Deref for Savepoint<'c, DB> {
    type Target = Connection<DB, sqlx::Transaction<'c, DB>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<DB: Database> DerefMut for Savepoint<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'c, DB, C> Executor<'c> for &'c mut Connection<DB, C>
where
    DB: Database,
    C: DerefMut<Target = DB::Connection> + Send,
    for<'a> &'a mut DB::Connection: Executor<'a, Database = DB>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<sqlx::Either<DB::QueryResult, DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let query = Taken::from(query);
        let mut statement = Statement::begin::<DB>(query.text());
        self.raw().fetch_many(query).inspect(move |step| statement.ended(step)).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let query = Taken::from(query);
        let mut statement = Statement::begin::<DB>(query.text());
        self.raw().fetch_optional(query).inspect(move |row| statement.ended(row)).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'c: 'e,
    {
        self.raw().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'c: 'e,
    {
        self.raw().describe(sql)
    }
}
