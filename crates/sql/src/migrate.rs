//! Migrations, measured like other statements: each by its version.

use std::{ops::DerefMut, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use sqlx::{
    Database,
    migrate::{AppliedMigration, Migrate, MigrateError, Migration},
};
use telemetry::DatabaseCall;

use crate::{
    Connection,
    statement::{failure, system},
};

type Step<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

fn measured<'e, DB: Database, T: Send + 'e>(summary: String, step: Step<'e, T>) -> Step<'e, T> {
    async move {
        let mut call = DatabaseCall::begin(system::<DB>(), summary);
        let result = step.await;
        call.ended(result.as_ref().err().map(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
            _ => "_OTHER".to_owned(),
        }));
        result
    }
    .boxed()
}

impl<DB, C> Migrate for Connection<DB, C>
where
    DB: Database,
    DB::Connection: Migrate,
    C: DerefMut<Target = DB::Connection>,
{
    fn create_schema_if_not_exists<'e>(&'e mut self, schema: &'e str) -> Step<'e, ()> {
        measured::<DB, _>(format!("CREATE {schema}"), self.raw().create_schema_if_not_exists(schema))
    }

    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> Step<'e, ()> {
        measured::<DB, _>(format!("CREATE {table}"), self.raw().ensure_migrations_table(table))
    }

    fn dirty_version<'e>(&'e mut self, table: &'e str) -> Step<'e, Option<i64>> {
        measured::<DB, _>(format!("SELECT {table}"), self.raw().dirty_version(table))
    }

    fn list_applied_migrations<'e>(&'e mut self, table: &'e str) -> Step<'e, Vec<AppliedMigration>> {
        measured::<DB, _>(format!("SELECT {table}"), self.raw().list_applied_migrations(table))
    }

    fn lock(&mut self) -> Step<'_, ()> {
        self.raw().lock()
    }

    fn unlock(&mut self) -> Step<'_, ()> {
        self.raw().unlock()
    }

    fn apply<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Step<'e, Duration> {
        measured::<DB, _>(format!("MIGRATE {}", migration.version), self.raw().apply(table, migration))
    }

    fn revert<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Step<'e, Duration> {
        measured::<DB, _>(format!("REVERT {}", migration.version), self.raw().revert(table, migration))
    }

    fn skip<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Step<'e, ()> {
        measured::<DB, _>(format!("INSERT {table}"), self.raw().skip(table, migration))
    }
}
