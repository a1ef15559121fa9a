//! Whatever is refused is refused over REST and over GraphQL alike: by one name, with the same faults, and without an effect.

use order::domain::ids::UserId;
use serde_json::{Value, json};
use testkit::http::{TestRequest, TestResponse};
use uuid::Uuid;

use super::Answer;
use crate::app::{Person, RequestExt as _, TestApp};

const PLACE: &str = "mutation($key: String!, $input: PlaceOrderInput!) {
    placeOrder(idempotencyKey: $key, input: $input) { replayed order { id } }
}";

/// Both refuse, in the same words.
async fn same(rest: TestRequest, graphql: impl Future<Output = Answer>, name: &str) -> (TestResponse, Answer) {
    let (rest, graphql) = (rest.send().await, graphql.await);
    assert_eq!(rest.name(), name, "{rest:?}");
    assert_eq!(graphql.code(), name.to_uppercase().replace('-', "_"), "{}", graphql.0);
    // What is no id is no path, over REST.
    if rest.body["detail"] != "there is nothing at this path" {
        assert_eq!(graphql.0["errors"][0]["message"], rest.body["detail"], "{}", graphql.0);
    }
    (rest, graphql)
}

/// What is at fault, too.
async fn same_faults(rest: TestRequest, graphql: impl Future<Output = Answer>, name: &str) {
    let (rest, graphql) = same(rest, graphql, name).await;
    assert_eq!(graphql.0["errors"][0]["extensions"]["errors"], rest.body["errors"]);
}

fn body(lines: &[(&str, i64)], token: &str) -> (Value, Value) {
    let line = |id: &str| {
        lines.iter().map(|(product, quantity)| json!({ id: product, "quantity": quantity })).collect::<Vec<_>>()
    };
    (
        json!({ "items": line("product_id"), "payment_token": token }),
        json!({ "items": line("productId"), "paymentToken": token }),
    )
}

impl TestApp {
    /// A request for an order over both.
    async fn same_order(&self, person: &Person, key: &str, (rest, input): (Value, Value), name: &str) {
        let rest = self.post("/v1/orders").by(person).key(key).json(&rest);
        let graphql = self.graphql(Some(person), PLACE, json!({ "key": key, "input": input }));
        same_faults(rest, graphql, name).await;
    }

    /// A command on an order over both.
    async fn same_command(&self, person: &Person, command: &str, id: &str, name: &str) {
        let rest = self.post(&format!("/v1/orders/{id}/{command}")).by(person);
        let document =
            format!("mutation($id: ID!) {{ {command}Order(idempotencyKey: \"k\", id: $id) {{ order {{ id }} }} }}");
        same(rest, self.graphql(Some(person), &document, json!({ "id": id })), name).await;
    }

    /// A page over both.
    async fn same_page(&self, person: &Person, query: &str, arguments: &str, name: &str) {
        let rest = self.get(&format!("/v1/orders?{query}")).by(person);
        let document = format!("{{ orders({arguments}) {{ edges {{ cursor }} }} }}");
        let (rest, graphql) = (rest.send().await, self.graphql(Some(person), &document, json!({})).await);
        assert_eq!(graphql.code(), rest.name().to_uppercase().replace('-', "_"), "{query}: {}", graphql.0);
        assert_eq!(rest.name(), name, "{query}");
    }
}

#[tokio::test]
async fn of_an_order_that_cannot_be_placed() {
    let app = TestApp::start().await;
    let (ada, mug, dear) = (app.customer(), app.product("mug", 100, 9).await, app.product_in("b", 100, "USD", 9).await);
    let (mug, dear, nobody) = (mug.as_str(), dear.as_str(), Uuid::new_v4().to_string());
    for lines in [
        vec![],
        vec![(mug, 0)],
        vec![(mug, -1)],
        vec![(mug, 1000)],
        vec![(mug, i64::from(i32::MAX))],
        vec![("nonsense", 1)],
        vec![("", 1)],
        vec![(mug, 1); 51],
    ] {
        app.same_order(&ada, "k", body(&lines, "tok_ok"), "invalid-fields").await;
    }
    for token in ["", "two words", "tok\u{7}", &"x".repeat(256)] {
        app.same_order(&ada, "k", body(&[(mug, 1)], token), "invalid-fields").await;
    }
    app.same_order(&ada, "k", body(&[(mug, 1), (&nobody, 1)], "tok_ok"), "unknown-product").await;
    app.same_order(&ada, "k", body(&[(mug, 1), (mug, 1)], "tok_ok"), "duplicate-product").await;
    app.same_order(&ada, "k", body(&[(mug, 1), (dear, 1)], "tok_ok"), "mixed-currencies").await;
    app.same_order(&ada, "k", body(&[(mug, 10), (dear, 10)], "tok_ok"), "mixed-currencies").await;
    app.same_order(&ada, "k", body(&[(mug, 10)], "tok_ok"), "insufficient-stock").await;
    app.same_order(&ada, "k", body(&[(mug, 1)], "bogus"), "unknown-payment-token").await;
    assert_eq!((app.available(mug).await, app.events().await.len()), (9, 0), "nothing has happened");
    app.order(&ada, "used", mug, 1).send().await;
    app.same_order(&ada, "used", body(&[(mug, 2)], "tok_ok"), "idempotency-key-reused").await;
    assert_eq!(app.available(mug).await, 8);
}

#[tokio::test]
async fn of_commands_on_orders() {
    let app = TestApp::start().await;
    let (ada, bob, operator) = (app.customer(), app.customer(), app.operator());
    let mug = app.product("mug", 100, 9).await;
    let order = app.confirmed(&ada, &mug).await;
    let rejected = app.order_by(&ada, "r", &mug, 1, "tok_declined").send().await.id();
    let unknown = Uuid::new_v4().to_string();
    for id in [&order, &unknown, "nonsense"] {
        app.same_command(&bob, "cancel", id, "not-found").await;
        app.same_command(&bob, "fulfil", id, "operator-required").await;
    }
    for id in [&unknown, "nonsense"] {
        app.same_command(&operator, "fulfil", id, "not-found").await;
    }
    app.same_command(&ada, "cancel", &rejected, "status-conflict").await;
    app.same_command(&operator, "fulfil", &rejected, "status-conflict").await;
    app.payments.fail("capture", 100);
    app.same_command(&operator, "fulfil", &order, "unavailable").await;
    let disable = async |person: &Person| {
        app.use_cases.accounts.set_disabled(UserId(person.id), 2, true).await.unwrap();
    };
    disable(&ada).await;
    disable(&operator).await;
    app.same_command(&ada, "cancel", &order, "account-disabled").await;
    app.same_command(&operator, "fulfil", &order, "account-disabled").await;
    app.same_order(&ada, "k", body(&[(&mug, 1)], "tok_ok"), "account-disabled").await;
    let closing = format!("/internal/v1/accounts/{}/closing", ada.id);
    app.request(http::Method::PUT, &closing).by_service("user").send().await;
    app.same_command(&ada, "cancel", &order, "account-closing").await;
    app.same_command(&ada, "fulfil", &order, "operator-required").await;
    app.same_order(&ada, "k", body(&[(&mug, 1)], "tok_ok"), "account-closing").await;
}

#[tokio::test]
async fn of_what_is_read() {
    let app = TestApp::start().await;
    let (ada, operator) = (app.customer(), app.operator());
    for id in
        [Uuid::new_v4().to_string(), Uuid::new_v4().simple().to_string(), "nonsense".to_owned(), String::from("1")]
    {
        for (kind, person) in [("order", Some(&ada)), ("product", None)] {
            let rest = app.get(&format!("/v1/{kind}s/{id}"));
            let rest = if let Some(person) = person { rest.by(person) } else { rest };
            let document = format!("query($id: ID!) {{ {kind}(id: $id) {{ id }} }}");
            same(rest, app.graphql(person, &document, json!({ "id": id })), "not-found").await;
        }
    }
    app.same_page(&ada, "user_id=all", "userId: \"all\"", "operator-required").await;
    for (query, arguments) in [
        ("limit=0", "first: 0"),
        ("limit=101", "first: 101"),
        ("limit=-1", "first: -1"),
        ("cursor=", "after: \"\""),
        ("cursor=nonsense", "after: \"nonsense\""),
        ("user_id=nonsense", "userId: \"nonsense\""),
    ] {
        app.same_page(&operator, query, arguments, "malformed-parameter").await;
    }
    for words in ["%07", &"x".repeat(201)] {
        let rest = app.get(&format!("/v1/products?query={words}")).send().await;
        let words = words.replace("%07", "\u{7}");
        let document = "query($q: String) { products(query: $q) { edges { cursor } } }";
        let graphql = app.graphql(None, document, json!({ "q": words })).await;
        assert_eq!((rest.name(), graphql.code()), ("malformed-parameter", "MALFORMED_PARAMETER"));
        assert_eq!(graphql.0["errors"][0]["extensions"]["errors"], rest.body["errors"]);
    }
}

#[tokio::test]
async fn of_who_asks() {
    let app = TestApp::start().await;
    let id = Uuid::new_v4();
    let orders = "{ orders { edges { cursor } } }";
    same(app.get("/v1/orders"), app.graphql(None, orders, json!({})), "token-missing").await;
    let other = TestApp::start().await.token(id, auth::Role::Operator, 60);
    for token in ["nonsense".to_owned(), other, app.token(id, auth::Role::Operator, -1)] {
        let person = Person { id, token };
        let rest = app.get("/v1/orders").by(&person).send().await;
        // Whatever is asked for: who shows a token means it.
        for document in [orders, "{ products { edges { cursor } } }"] {
            let graphql = app.send(Some(&person), &json!({ "query": document })).await;
            assert_eq!(graphql.problem(401).without_instance(), rest.problem(401).without_instance());
        }
    }
}

/// What is wrong is named, and not repeated: it may be a secret that stands where another value belongs.
#[tokio::test]
async fn no_secret_is_repeated() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let secret = "tok_secret";
    let line = json!({ "productId": mug, "quantity": 1 });
    for input in [
        json!({ "items": [line], "paymentToken": [secret] }),
        json!({ "items": [line], "paymentToken": { "token": secret } }),
        json!({ "items": [line], "paymentToken": format!("{secret}\u{7}") }),
        json!({ "items": [{ "productId": mug, "quantity": secret }], "paymentToken": "tok_ok" }),
        json!({ "items": [{ "productId": secret, "quantity": 1 }], "paymentToken": "tok_ok" }),
        json!({ "items": secret, "paymentToken": "tok_ok" }),
        json!({ "items": [line], "paymentToken": secret, "extra": secret }),
    ] {
        let answer = app.graphql(Some(&ada), PLACE, json!({ "key": "k", "input": input })).await;
        assert!(!answer.0.to_string().contains(secret), "{}", answer.0);
        answer.errors();
    }
    for document in [
        format!(
            "mutation {{ placeOrder(idempotencyKey: \"k\", input: {{ paymentToken: [\"{secret}\"] }}) {{ replayed }} }}"
        ),
        format!("mutation {{ placeOrder(idempotencyKey: \"k\", input: \"{secret}\") {{ replayed }} }}"),
        format!("{{ order(id: [\"{secret}\"]) {{ id }} }} \""),
    ] {
        let answer = app.graphql(Some(&ada), &document, json!({})).await;
        assert!(!answer.0.to_string().contains(secret), "{}", answer.0);
    }
    assert_eq!(app.available(&mug).await, 9);
}
