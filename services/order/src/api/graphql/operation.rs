//! What is executed: its span and its metric.

use std::sync::LazyLock;

use async_graphql::{
    Name, Response,
    parser::types::{ExecutableDocument, OperationType},
};
use opentelemetry::{KeyValue, metrics::Histogram};
use semconv::{attributes, metrics};
use time::Duration;
use tracing::{Span, field::Empty, info_span};

use super::fields;

/// The longest name that a span shows: it is a stranger's.
const MAX_NAME: usize = 64;
static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| metrics::GRAPHQL_SERVER_OPERATION_DURATION.instrument());

/// The operation of a document that will be executed.
pub(super) struct Operation {
    pub(super) of: OperationType,
    name: Option<String>,
    listed: bool,
    /// The names of its fields, in its order.
    fields: Vec<Name>,
}

impl Operation {
    /// The one with this name, or the first; `listed` says that the document is one of the operator's.
    pub(super) fn of(document: &ExecutableDocument, name: Option<&str>, listed: bool) -> Self {
        let mut operations = document.operations.iter();
        let asked = operations.find(|(known, _)| name.is_none() || known.map(Name::as_str) == name);
        let of = asked.map_or(OperationType::Query, |(_, operation)| operation.node.ty);
        // The document's own name, which is letters and digits: what a request says may be anything.
        let name = asked.and_then(|(known, _)| known).map(|known| known.chars().take(MAX_NAME).collect());
        let fields = asked.map(|(_, operation)| fields::names(document, &operation.node.selection_set));
        Self { of, name, listed, fields: fields.unwrap_or_default() }
    }

    /// Puts the fields of its answer in its order.
    pub(super) fn arrange(&self, answer: &mut Response) {
        fields::arrange(&mut answer.data, &self.fields);
    }

    fn kind(&self) -> &'static str {
        match self.of {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        }
    }

    /// Its span.
    pub(super) fn span(&self) -> Span {
        let (kind, name) = (self.kind(), self.name.as_deref());
        info_span!(
            "graphql.operation",
            otel.name = kind,
            graphql.operation.type = kind,
            graphql.operation.name = name,
            error.type = Empty
        )
    }

    /// Records how long it took, and how it failed, if it did.
    pub(super) fn done(&self, took: Duration, code: Option<&str>) {
        DURATION.record(took.as_seconds_f64().max(0.0), &self.attributes(code));
    }

    /// Names are a label only where they are the operator's: strangers' have no bound.
    fn attributes(&self, code: Option<&str>) -> Vec<KeyValue> {
        let name = self.name.as_ref().filter(|_| self.listed);
        let name = name.map(|name| attributes::GRAPHQL_OPERATION_NAME.of(name.clone()));
        let failure = code.map(|code| attributes::ERROR_TYPE.of(code.to_owned()));
        [attributes::GRAPHQL_OPERATION_TYPE.of(self.kind())].into_iter().chain(name).chain(failure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: Option<&str>, listed: bool) -> Vec<String> {
        let text = format!("query A {{ a }} mutation {} {{ b }}", "B".repeat(100));
        let document = async_graphql::parser::parse_query(text).unwrap();
        let attributes = Operation::of(&document, name, listed).attributes(Some("NOT_FOUND"));
        attributes.iter().map(|one| format!("{}={}", one.key, one.value)).collect()
    }

    #[test]
    fn the_names_of_strangers_are_no_labels() {
        let (query, mutation) = ("graphql.operation.type=query", "graphql.operation.type=mutation");
        let (name, failure) = (format!("graphql.operation.name={}", "B".repeat(MAX_NAME)), "error.type=NOT_FOUND");
        assert_eq!(labels(Some(&"B".repeat(100)), false), [mutation, failure]);
        assert_eq!(labels(Some(&"B".repeat(100)), true), [mutation, &name, failure]);
        // What a request says and the document does not have is nowhere.
        assert_eq!(labels(Some("ada@example.com"), true), [query, failure]);
    }
}
