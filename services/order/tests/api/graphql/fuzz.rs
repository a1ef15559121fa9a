//! Documents and cursors that nobody would write: each is answered, without a failure of ours.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::app::{Person, RequestExt as _, TestApp};

/// What documents are made of, so that some of them nearly are documents.
const WORDS: [&str; 52] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    ",",
    "!",
    "=",
    "$",
    "@",
    "...",
    "|",
    "&",
    "\"",
    "\"\"\"",
    "#",
    "\n",
    "query",
    "mutation",
    "subscription",
    "fragment",
    "on",
    "Query",
    "Order",
    "Product",
    "Customer",
    "me",
    "orders",
    "products",
    "order",
    "product",
    "edges",
    "node",
    "cursor",
    "pageInfo",
    "customer",
    "items",
    "id",
    "first",
    "after",
    "a",
    "$a",
    "@skip",
    "if",
    "true",
    "null",
    "1",
    "-1e999",
    "orderEvents",
    "__schema",
];

fn document() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(prop::sample::select(WORDS.as_slice()), 0..60).prop_map(|words| words.join(" "));
    let field = prop_oneof![
        "[a-z]{1,8}",
        Just("orders".to_owned()),
        Just("products(first: 2)".to_owned()),
        Just("me".to_owned())
    ];
    let nested = field.prop_recursive(12, 64, 4, |inner| {
        (
            prop::sample::select(vec![
                "orders",
                "products",
                "edges",
                "node",
                "customer",
                "me",
                "... on Query",
                "...A",
                "a: me",
            ]),
            prop::collection::vec(inner, 1..4),
        )
            .prop_map(|(field, inner)| format!("{field} {{ {} }}", inner.join(" ")))
    });
    let tree = nested.prop_map(|field| format!("{{ {field} }} fragment A on Query {{ me {{ id }} }}"));
    prop_oneof![words, tree, any::<String>(), "\\PC{0,200}"]
}

fn cursor() -> impl Strategy<Value = String> {
    let sealed = prop_oneof![any::<String>(), "p[a-z. -]{0,70}", "-?[0-9]{0,22} [0-9a-f-]{0,36}"];
    let sealed = sealed.prop_map(|position| chassis::http::Page::seal(&position));
    prop_oneof![sealed, any::<String>(), "[A-Za-z0-9_=-]{0,80}"]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(
                prop::sample::select(vec!["a", "key", "input", "items", "productId", "quantity", "paymentToken"]),
                inner,
                0..4
            )
            .prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Runs a service through what proptest thinks of.
fn all<S: Strategy>(cases: u32, strategy: &S, one: &impl AsyncFn(&TestApp, &Person, S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let person = app.operator();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(cases));
    runner
        .run(strategy, |value| {
            runtime.block_on(one(&app, &person, value));
            Ok(())
        })
        .unwrap();
    runtime.block_on(async { drop(app) });
}

#[test]
fn any_document_is_answered() {
    all(400, &(document(), json_value()), &async |app, person, (query, variables)| {
        let response = app.send(Some(person), &json!({ "query": query, "variables": variables })).await;
        // Variables that are no object make it no request.
        assert!([200, 422].contains(&response.status.as_u16()), "{query} {variables}: {response:?}");
        let failed = response.bytes.windows(8).any(|bytes| bytes == b"INTERNAL");
        assert!(!failed && response.bytes.len() < 64 * 1024, "{query} {variables}: {response:?}");
    });
}

#[test]
fn any_input_is_answered() {
    let place = "mutation($key: String!, $input: PlaceOrderInput!) { placeOrder(idempotencyKey: $key, input: $input) { replayed } }";
    all(200, &(json_value(), json_value()), &async |app, person, (key, input)| {
        let answer = app.graphql(Some(person), place, json!({ "key": key, "input": input })).await;
        let refused = answer
            .errors()
            .iter()
            .all(|(code, _)| ["INVALID_DOCUMENT", "MALFORMED_PARAMETER", "INVALID_FIELDS"].contains(code));
        assert!(refused, "{key} {input}: {}", answer.0);
    });
}

#[test]
fn any_cursor_is_answered() {
    all(400, &cursor(), &async |app, person, cursor| {
        for list in ["orders", "products"] {
            let document = format!("query($after: String) {{ {list}(after: $after) {{ edges {{ cursor }} }} }}");
            let answer = app.graphql(Some(person), &document, json!({ "after": cursor })).await;
            if !answer.0["errors"].is_null() {
                assert_eq!(answer.code(), "MALFORMED_PARAMETER", "{cursor:?}: {}", answer.0);
            }
            let rest = app.get(&format!("/v1/{list}?cursor={}", percent(&cursor))).by(person).send().await;
            assert_eq!(rest.status == 200, answer.0["errors"].is_null(), "{cursor:?}: {rest:?}");
        }
    });
}

fn percent(text: &str) -> String {
    let percent = |byte: u8| format!("%{byte:02x}");
    text.bytes().map(percent).collect()
}
