//! A call of a database that is under way: its span, and how long it takes.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use opentelemetry::{StringValue, metrics::Histogram};
use semconv::{attributes, metrics};
use tracing::{Span, field::Empty};

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::DB_CLIENT_OPERATION_DURATION.instrument());

/// A statement or a command; it has ended when this is dropped.
#[derive(Debug)]
pub struct DatabaseCall {
    system: &'static str,
    summary: Arc<str>,
    span: Span,
    start: Instant,
    failure: Option<String>,
}

impl DatabaseCall {
    /// Begins one: `system` is `db.system.name`, and `summary` says what it does to which table, without any value.
    pub fn begin(system: &'static str, summary: impl Into<Arc<str>>) -> Self {
        let summary = summary.into();
        let span = span(system, &summary);
        Self { system, summary, span, start: Instant::now(), failure: None }
    }

    /// Says how it has failed (`error.type`); `None` where it has not.
    pub fn ended(&mut self, failure: Option<String>) {
        self.failure = failure;
    }
}

impl Drop for DatabaseCall {
    fn drop(&mut self) {
        let mut attributes = vec![
            attributes::DB_SYSTEM_NAME.of(self.system),
            attributes::DB_QUERY_SUMMARY.of(StringValue::from(Arc::clone(&self.summary))),
        ];
        if let Some(failure) = self.failure.take() {
            self.span.record("error.type", &failure);
            self.span.record("otel.status_code", "ERROR");
            attributes.push(attributes::ERROR_TYPE.of(failure));
        }
        DURATION.record(self.start.elapsed().as_secs_f64(), &attributes);
    }
}

/// Only where there is something that it is part of: what polls, polls for ever.
fn span(system: &'static str, summary: &str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::info_span!(
        "db.call",
        otel.name = summary,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = system,
        db.query.summary = summary,
        error.type = Empty,
    )
}
