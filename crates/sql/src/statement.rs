//! A statement that is under way.

use sqlx::{Database, Error};
use telemetry::DatabaseCall;

use crate::summary::remembered;

/// A statement; it has ended when this is dropped.
pub(crate) struct Statement(DatabaseCall);

impl Statement {
    /// Begins a statement.
    pub(crate) fn begin<DB: Database>(text: &str) -> Self {
        Self(DatabaseCall::begin(system::<DB>(), remembered(text)))
    }

    /// It has come to an end, if this is an error to a bad one.
    pub(crate) fn ended<T>(&mut self, result: &Result<T, Error>) {
        self.0.ended(result.as_ref().err().map(failure));
    }
}

/// What `db.system.name` says.
pub(crate) fn system<DB: Database>() -> &'static str {
    match DB::NAME {
        "SQLite" => "sqlite",
        "PostgreSQL" => "postgresql",
        other => other,
    }
}

/// What `error.type` says: the database's own code where there is one.
pub(crate) fn failure(error: &Error) -> String {
    match error {
        Error::Database(error) => error.code().map_or_else(|| "_OTHER".to_owned(), std::borrow::Cow::into_owned),
        Error::PoolTimedOut => "pool_timed_out".to_owned(),
        Error::PoolClosed => "pool_closed".to_owned(),
        Error::Io(_) => "io".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}
