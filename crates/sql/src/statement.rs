//! A statement that is under way: its span, and how long it takes.

use std::{sync::LazyLock, time::Instant};

use opentelemetry::metrics::Histogram;
use semconv::{attributes, metrics};
use sqlx::{Database, Error};
use tracing::{Span, field::Empty};

use crate::summary;

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::DB_CLIENT_OPERATION_DURATION.instrument());

/// A statement; it has ended when this is dropped.
pub(crate) struct Statement {
    system: &'static str,
    summary: String,
    span: Span,
    start: Instant,
    failure: Option<String>,
}

impl Statement {
    /// Begins a statement.
    pub(crate) fn begin<DB: Database>(text: &str) -> Self {
        let (system, summary) = (system::<DB>(), summary(text));
        Self { system, span: span(system, &summary), summary, start: Instant::now(), failure: None }
    }

    /// It has come to an end, if this is an error to a bad one.
    pub(crate) fn ended<T>(&mut self, result: &Result<T, Error>) {
        self.failure = result.as_ref().err().map(failure);
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let mut attributes = vec![
            attributes::DB_SYSTEM_NAME.of(self.system),
            attributes::DB_QUERY_SUMMARY.of(std::mem::take(&mut self.summary)),
        ];
        if let Some(failure) = self.failure.take() {
            self.span.record("error.type", &failure);
            self.span.record("otel.status_code", "ERROR");
            attributes.push(attributes::ERROR_TYPE.of(failure));
        }
        DURATION.record(self.start.elapsed().as_secs_f64(), &attributes);
    }
}

fn system<DB: Database>() -> &'static str {
    match DB::NAME {
        "SQLite" => "sqlite",
        "PostgreSQL" => "postgresql",
        other => other,
    }
}

/// Only where there is something that it is part of: what polls, polls for ever.
fn span(system: &'static str, summary: &str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        "db.statement",
        otel.name = summary,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = system,
        db.query.summary = summary,
        error.type = Empty,
    )
}

/// What `error.type` says: the database's own code where there is one.
fn failure(error: &Error) -> String {
    match error {
        Error::Database(error) => error.code().map_or_else(|| "_OTHER".to_owned(), std::borrow::Cow::into_owned),
        Error::PoolTimedOut => "pool_timed_out".to_owned(),
        Error::PoolClosed => "pool_closed".to_owned(),
        Error::Io(_) => "io".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}
