//! Documents that are named by their hashes.

use order::api::graphql::{Documents, Options};
use serde_json::{Value, json};

use super::Answer;
use crate::app::TestApp;

const QUERY: &str = "{ products { edges { cursor } } }";
const HASH: &str = "592256478fb0810bba7980acb09f1c0ddf55ad7aedcdb297b25e9fd8e6acb238";

async fn persisted(app: &TestApp, hash: &str, query: Option<&str>) -> Answer {
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let mut body = json!({ "extensions": extensions });
    if let Some(query) = query {
        body["query"] = query.into();
    }
    Answer(app.send(None, &body).await.body)
}

#[tokio::test]
async fn a_document_is_sent_once() {
    let app = TestApp::start().await;
    let unknown = persisted(&app, HASH, None).await;
    assert_eq!(
        (unknown.code(), &unknown.0["errors"][0]["message"]),
        ("PERSISTED_QUERY_NOT_FOUND", &json!("PersistedQueryNotFound"))
    );
    for query in [Some(QUERY), None, None] {
        assert_eq!(persisted(&app, HASH, query).await.data()["products"]["edges"], json!([]));
    }
    // Nobody can put another document behind a name.
    assert_eq!(persisted(&app, HASH, Some("{ me { id } }")).await.code(), "INVALID_DOCUMENT");
    for name in ["", "nonsense", &HASH[1..], &format!("{HASH}00")] {
        assert_eq!(persisted(&app, name, Some(QUERY)).await.code(), "INVALID_DOCUMENT", "{name}");
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let app = TestApp::start().await;
    persisted(&app, HASH, Some(QUERY)).await.data();
    let fields = "cursor ".repeat(400);
    for n in 0..50 {
        let query = format!("{{ a{n}: products {{ edges {{ {fields} }} }} }}");
        let hash = hex(&query);
        persisted(&app, &hash, Some(&query)).await.data();
    }
    assert_eq!(persisted(&app, HASH, None).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    // What was sent without a name is remembered with the others.
    app.graphql(None, QUERY, json!({})).await.data();
    persisted(&app, HASH, None).await.data();
}

#[tokio::test]
async fn a_safelist_is_all_there_is() {
    let mut app = TestApp::start().await;
    let documents = Documents::safelist(&json!({ HASH: QUERY }).to_string()).unwrap();
    app.serve_graphql(Options { documents, ..Options::default() });
    persisted(&app, HASH, None).await.data();
    app.graphql(None, QUERY, json!({})).await.data();
    for query in ["{ me { id } }", "{ products { edges { cursor } } } ", ""] {
        let refused = app.graphql(None, query, json!({})).await;
        assert_eq!((refused.code(), &refused.0["data"]), ("DOCUMENT_NOT_ALLOWED", &Value::Null), "{query}");
    }
    let other = "{ me { id } }";
    assert_eq!(persisted(&app, &hex(other), Some(other)).await.code(), "DOCUMENT_NOT_ALLOWED");
}

#[test]
fn a_safelist_that_cannot_be_meant_is_refused() {
    for json in ["", "[]", "{\"nonsense\": \"{ a }\"}", &json!({ HASH: "{ me { id } }" }).to_string()] {
        assert!(Documents::safelist(json).is_err(), "{json}");
    }
    let broken = "{ a";
    assert!(Documents::safelist(&json!({ hex(broken): broken }).to_string()).is_err());
}

fn hex(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hex::encode(hash)
}
