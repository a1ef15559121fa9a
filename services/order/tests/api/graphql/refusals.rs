//! Somebody else's, nobody's and nonsense: refused as over REST.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Person, RequestExt as _, TestApp};

#[tokio::test]
async fn somebody_elses_order_is_like_an_unknown_one_over_each_interface() {
    let app = TestApp::start().await;
    let (ada, bob, mug) = (app.customer(), app.customer(), app.product("mug", 100, 99).await);
    let (foreign, unknown) = (app.confirmed(&bob, &mug).await, Uuid::new_v4().to_string());
    let get = "query($id: ID!) { order(id: $id) { id } }";
    let cancel = "mutation($id: ID!) { cancelOrder(idempotencyKey: \"k\", id: $id) { order { id } } }";
    for (document, method, path) in [(get, http::Method::GET, ""), (cancel, http::Method::POST, "/cancel")] {
        let mut answers = Vec::new();
        for id in [&foreign, &unknown] {
            let rest = app.request(method.clone(), &format!("/v1/orders/{id}{path}")).by(&ada).send().await;
            assert_eq!(rest.problem(404).body["type"], "/problems/not-found");
            let graphql = app.graphql(Some(&ada), document, json!({ "id": id })).await;
            assert_eq!(graphql.code(), "NOT_FOUND");
            assert_eq!(graphql.0["errors"][0]["message"], rest.body["detail"]);
            answers.push(graphql.0);
        }
        assert_eq!(answers[0], answers[1]);
    }
    assert_eq!(app.status(&foreign).await, "confirmed");
    // Nor are they in lists, where only an operator may ask for them.
    let list = "query($of: String) { orders(userId: $of) { edges { node { id } } } }";
    for of in [json!("all"), json!(bob.id), json!("nonsense")] {
        let answer = app.graphql(Some(&ada), list, json!({ "of": of })).await;
        assert_eq!(answer.code(), "OPERATOR_REQUIRED");
    }
    let own = app.graphql(Some(&ada), list, json!({})).await;
    assert_eq!(own.data()["orders"]["edges"], json!([]));
    let nonsense = app.graphql(Some(&app.operator()), list, json!({ "of": "nonsense" })).await;
    assert_eq!((nonsense.code(), nonsense.faults()), ("MALFORMED_PARAMETER", vec!["user_id"]));
}

#[tokio::test]
async fn pages_have_the_bounds_of_rest() {
    let app = TestApp::start().await;
    let ada = app.customer();
    app.product("a", 1, 1).await;
    app.product("b", 1, 1).await;
    let cursor = app.get("/v1/products?limit=1").send().await.text("next_cursor").to_owned();
    for list in ["products", "orders"] {
        let document = format!(
            "query($first: Int, $after: String) {{ {list}(first: $first, after: $after) {{ edges {{ cursor }} }} }}"
        );
        let mut cases = vec![
            (json!({ "first": 0 }), "first"),
            (json!({ "first": -1 }), "first"),
            (json!({ "first": 101 }), "first"),
            (json!({ "after": "" }), "after"),
            (json!({ "after": "nonsense" }), "after"),
        ];
        if list == "orders" {
            cases.push((json!({ "after": cursor }), "after"));
        }
        for (variables, name) in cases {
            let answer = app.graphql(Some(&ada), &document, variables.clone()).await;
            assert_eq!((answer.code(), answer.faults()), ("MALFORMED_PARAMETER", vec![name]), "{list} {variables}");
        }
    }
    for words in ["x".repeat(201), "a\u{7}".to_owned()] {
        let answer =
            app.graphql(None, "query($q: String) { products(query: $q) { edges { cursor } } }", json!({ "q": words }));
        assert_eq!(answer.await.faults(), ["query"]);
    }
}

#[tokio::test]
async fn a_token_that_does_not_count_is_refused_whatever_is_asked() {
    let app = TestApp::start().await;
    let forged = Person { id: Uuid::new_v4(), token: "nonsense".to_owned() };
    let response = app.send(Some(&forged), &json!({ "query": "{ products { edges { cursor } } }" })).await;
    assert_eq!(response.problem(401).header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn the_protocol_is_graphql_over_http() {
    let app = TestApp::start().await;
    for body in [&b""[..], b"{", b"\xff"] {
        app.post("/graphql").raw_json(body).send().await.problem(400);
    }
    for body in [json!(1), json!([]), json!({ "query": 1 })] {
        app.send(None, &body).await.problem(422);
    }
    app.post("/graphql").header("content-type", "text/plain").send().await.problem(415);
    let large = json!({ "query": "{ me { id } }", "variables": { "x": "x".repeat(64 * 1024) } });
    app.send(None, &large).await.problem(413);
    app.get("/graphql").send().await.problem(405);
    // A client that reads the status is told whether its document was executed.
    let accepting = |query: &str| {
        app.post("/graphql").header("accept", "application/graphql-response+json").json(&json!({ "query": query }))
    };
    let good = accepting("{ products { edges { cursor } } }").send().await;
    assert_eq!((good.status.as_u16(), good.header("content-type")), (200, "application/graphql-response+json"));
    let bad = accepting("{ nonsense }").send().await;
    assert_eq!((bad.status.as_u16(), bad.header("content-type")), (400, "application/graphql-response+json"));
    assert_eq!(bad.body["errors"][0]["extensions"]["code"], "INVALID_DOCUMENT");
    assert_eq!(bad.body.get("data"), Some(&Value::Null));
}
