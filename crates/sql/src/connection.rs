//! A transaction, and the connection that it is on.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use sqlx::{Database, Describe, Error, Execute, Executor, SqlStr};

use crate::{query::Taken, statement::Statement};

/// A connection whose statements are measured.
pub struct Connection<DB: Database>(sqlx::Transaction<'static, DB>);

impl<DB: Database> Connection<DB> {
    /// The connection itself, for what is no statement. What is executed on it is not measured.
    pub fn raw(&mut self) -> &mut DB::Connection {
        &mut self.0
    }
}

impl<DB: Database> fmt::Debug for Connection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction: dropped, it is rolled back.
#[derive(Debug)]
pub struct Transaction<DB: Database>(Connection<DB>);

impl<DB: Database> Transaction<DB> {
    pub(crate) fn new(transaction: sqlx::Transaction<'static, DB>) -> Self {
        Self(Connection(transaction))
    }

    /// Makes lasting what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not say that it has.
    pub async fn commit(self) -> Result<(), Error> {
        let mut statement = Statement::begin::<DB>("COMMIT");
        let committed = self.0.0.commit().await;
        statement.ended(&committed);
        committed
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not answer; it is undone all the same.
    pub async fn rollback(self) -> Result<(), Error> {
        self.0.0.rollback().await
    }
}

impl<DB: Database> Deref for Transaction<DB> {
    type Target = Connection<DB>;

    fn deref(&self) -> &Connection<DB> {
        &self.0
    }
}

impl<DB: Database> DerefMut for Transaction<DB> {
    fn deref_mut(&mut self) -> &mut Connection<DB> {
        &mut self.0
    }
}

impl<'c, DB> Executor<'c> for &'c mut Connection<DB>
where
    DB: Database,
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
