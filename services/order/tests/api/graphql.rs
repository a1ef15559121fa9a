//! GraphQL: it says what REST says, refuses what REST refuses, and does little for strangers.

mod documents;
mod fuzz;
mod hostile;
mod limits;
mod mutations;
mod parity;
mod queries;
mod refusals;
mod stream;

use order::api::graphql::{Options, sdl};
use serde_json::{Value, json};
use testkit::http::TestResponse;

use crate::app::{Person, RequestExt as _, TestApp};

/// What a document is answered.
pub struct Answer(pub Value);

impl Answer {
    /// The data of a document that was answered in full.
    pub fn data(&self) -> &Value {
        assert_eq!(self.0["errors"], Value::Null, "{}", self.0);
        &self.0["data"]
    }

    /// The code and the path of each error.
    pub fn errors(&self) -> Vec<(&str, String)> {
        let errors = self.0["errors"].as_array().expect("there are errors");
        let path = |error: &Value| error["path"].as_array().map(|path| path.iter().map(segment).collect::<Vec<_>>());
        errors
            .iter()
            .map(|error| (error["extensions"]["code"].as_str().unwrap(), path(error).unwrap_or_default().join(".")))
            .collect()
    }

    /// The code of the only error.
    pub fn code(&self) -> &str {
        let errors = self.errors();
        assert_eq!(errors.len(), 1, "{}", self.0);
        errors[0].0
    }

    /// What is at fault according to the only error.
    pub fn faults(&self) -> Vec<&str> {
        let faults = self.0["errors"][0]["extensions"]["errors"].as_array().expect("there are faults");
        faults.iter().map(|fault| fault["pointer"].as_str().or(fault["parameter"].as_str()).unwrap()).collect()
    }
}

fn segment(segment: &Value) -> String {
    segment.as_str().map_or_else(|| segment.to_string(), str::to_owned)
}

impl TestApp {
    /// Sends a body.
    pub async fn send(&self, person: Option<&Person>, body: &Value) -> TestResponse {
        let request = self.post("/graphql").json(body);
        let request = if let Some(person) = person { request.by(person) } else { request };
        request.send().await
    }

    /// Executes a document.
    pub async fn graphql(&self, person: Option<&Person>, query: &str, variables: Value) -> Answer {
        let response = self.send(person, &json!({ "query": query, "variables": variables })).await;
        assert_eq!(response.status, 200, "{response:?}");
        Answer(response.body)
    }
}

#[test]
fn the_schema_is_the_one_that_is_written_down() {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/graphql/schema.graphql");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, sdl()).unwrap();
    }
    let written = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(written == sdl(), "docs/graphql/schema.graphql is old: UPDATE=1 cargo test -p trireme-order --test api");
}

#[tokio::test]
async fn the_schema_is_read_only_where_that_is_configured() {
    let mut app = TestApp::start().await;
    for query in ["{ __schema { types { name } } }", "{ __type(name: \"Order\") { name } }"] {
        let answer = app.graphql(None, query, json!({})).await;
        assert!(answer.0["data"]["__schema"].is_null() && answer.0["data"]["__type"].is_null(), "{}", answer.0);
    }
    // Nor is it told by way of suggestions.
    let answer = app.graphql(None, "{ product(id: \"1\") { skus } }", json!({})).await;
    assert_eq!(answer.code(), "INVALID_DOCUMENT");
    assert!(!answer.0.to_string().contains("Did you mean"), "{}", answer.0);
    app.serve_graphql(Options { introspection: true, ..Options::default() });
    let page = app.get("/graphql").send().await;
    assert_eq!((page.status.as_u16(), page.header("content-encoding")), (200, "gzip"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'sha256-"));
    let answer = app.graphql(None, "{ __schema { queryType { name } } }", json!({})).await;
    assert_eq!(answer.data()["__schema"]["queryType"]["name"], "Query");
}
