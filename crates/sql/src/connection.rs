//! A transaction, and the connection that it is on.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{Database, Describe, Error, Execute, Executor, SqlStr};
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

    pub(crate) fn raw(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Connection<DB> {
    /// Begins a part that can be undone by itself; outside a transaction it is one.
    ///
    /// # Errors
    ///
    /// The database refuses.
    pub async fn savepoint(&mut self) -> Result<Savepoint<'_, DB>, Error> {
        let (raw, condition) = self.connection.parts();
        measured::<DB>("SAVEPOINT", condition.limited(DB::TransactionManager::begin(raw, None))).await?;
        Ok(Savepoint { connection: self, open: true })
    }

    /// Ends the transaction, or the innermost part of it.
    async fn commit(&mut self, text: &str) -> Result<(), Error> {
        let (raw, condition) = self.connection.parts();
        measured::<DB>(text, condition.limited(DB::TransactionManager::commit(raw))).await
    }

    /// Undoes the transaction, or the innermost part of it.
    async fn rollback(&mut self, text: &str) -> Result<(), Error> {
        let (raw, condition) = self.connection.parts();
        measured::<DB>(text, condition.limited(DB::TransactionManager::rollback(raw))).await
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
        let (raw, condition) = connection.parts();
        condition.limited(DB::TransactionManager::begin(raw, begin)).await?;
        Ok(Self { connection: Connection::new(connection), open: true })
    }

    /// Makes lasting what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not say that it has.
    pub async fn commit(mut self) -> Result<(), Error> {
        let ended = self.connection.commit("COMMIT").await;
        self.ended(ended)
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    ///
    /// The database does not answer; it is undone all the same.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let ended = self.connection.rollback("ROLLBACK").await;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Result<(), Error>) -> Result<(), Error> {
        self.open = ended.is_err();
        self.connection.connection.parts().1.answered(&ended);
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
pub struct Savepoint<'c, DB: Database> {
    connection: &'c mut Connection<DB>,
    open: bool,
}

impl<DB: Database> Savepoint<'_, DB> {
    /// Makes what was done in it a part of the transaction.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn release(mut self) -> Result<(), Error> {
        let ended = self.connection.commit("RELEASE SAVEPOINT").await;
        self.open = ended.is_err();
        ended
    }

    /// Undoes what was done in it, and nothing else.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn rollback(mut self) -> Result<(), Error> {
        let ended = self.connection.rollback("ROLLBACK SAVEPOINT").await;
        self.open = ended.is_err();
        ended
    }
}

impl<DB: Database> Drop for Savepoint<'_, DB> {
    fn drop(&mut self) {
        if self.open {
            // Sent before the next statement.
            DB::TransactionManager::start_rollback(self.connection.raw());
        }
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

impl<DB: Database> Deref for Savepoint<'_, DB> {
    type Target = Connection<DB>;

    fn deref(&self) -> &Connection<DB> {
        self.connection
    }
}

impl<DB: Database> DerefMut for Savepoint<'_, DB> {
    fn deref_mut(&mut self) -> &mut Connection<DB> {
        self.connection
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
        let (raw, condition) = self.connection.parts();
        // Each step by itself has the limit: what reads them may take its time. Nothing comes after an error.
        let steps = stream::unfold(Some((raw.fetch_many(query), condition)), async |state| {
            let (mut steps, condition) = state?;
            let step = condition.limited(steps.try_next()).await.transpose()?;
            let more = step.is_ok().then_some((steps, condition));
            Some((step, more))
        });
        steps.inspect(move |step| statement.ended(step)).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let query = Taken::from(query);
        let mut statement = Statement::begin::<DB>(query.text());
        let (raw, condition) = self.connection.parts();
        async move { condition.limited(raw.fetch_optional(query)).await }
            .inspect(move |row| statement.ended(row))
            .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'c: 'e,
    {
        let (raw, condition) = self.connection.parts();
        async move { condition.limited(raw.prepare_with(sql, parameters)).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'c: 'e,
    {
        let (raw, condition) = self.connection.parts();
        async move { condition.limited(raw.describe(sql)).await }.boxed()
    }
}
