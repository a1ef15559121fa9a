//! What can be changed.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Answer;
use crate::app::{Person, RequestExt as _, TestApp};

const PLACE: &str = "mutation($key: String!, $input: PlaceOrderInput!) {
    placeOrder(idempotencyKey: $key, input: $input) { replayed order { id status } }
}";
const CANCEL: &str =
    "mutation($key: String!, $id: ID!) { cancelOrder(idempotencyKey: $key, id: $id) { order { status } } }";
const FULFIL: &str =
    "mutation($key: String!, $id: ID!) { fulfilOrder(idempotencyKey: $key, id: $id) { order { status } } }";

fn input(product: &str, quantity: i64) -> Value {
    json!({ "items": [{ "productId": product, "quantity": quantity }], "paymentToken": "tok_ok" })
}

impl TestApp {
    async fn place(&self, person: &Person, key: &str, input: Value) -> Answer {
        self.graphql(Some(person), PLACE, json!({ "key": key, "input": input })).await
    }

    async fn command(&self, person: Option<&Person>, command: &str, id: &str) -> Answer {
        self.graphql(person, command, json!({ "key": "k", "id": id })).await
    }
}

#[tokio::test]
async fn a_key_is_the_same_over_rest() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let first = app.place(&ada, "k", input(&mug, 2)).await;
    let placed = &first.data()["placeOrder"];
    assert_eq!((&placed["replayed"], &placed["order"]["status"]), (&json!(false), &json!("CONFIRMED")));
    let again = app.place(&ada, "k", input(&mug, 2)).await;
    assert_eq!(again.data()["placeOrder"]["replayed"], true);
    let rest = app.order(&ada, "k", &mug, 2).send().await;
    assert_eq!((rest.status.as_u16(), &rest.body["id"]), (200, &placed["order"]["id"]));
    let other = app.place(&ada, "k", input(&mug, 3)).await;
    assert_eq!((other.code(), other.faults()), ("IDEMPOTENCY_KEY_REUSED", vec![""]));
    assert_eq!(app.available(&mug).await, 7);
}

#[tokio::test]
async fn what_does_not_fit_is_named_as_over_rest() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let cases = [
        (input(&mug, 0), "INVALID_FIELDS", "/items/0/quantity"),
        (input(&mug, 1000), "INVALID_FIELDS", "/items/0/quantity"),
        (input("nonsense", 1), "INVALID_FIELDS", "/items/0/product_id"),
        (input(&Uuid::new_v4().to_string(), 1), "UNKNOWN_PRODUCT", "/items/0/product_id"),
        (input(&mug, 10), "INSUFFICIENT_STOCK", "/items/0/quantity"),
        (json!({ "items": [], "paymentToken": "tok_ok" }), "INVALID_FIELDS", "/items"),
        (json!({ "items": input(&mug, 1)["items"], "paymentToken": "two words" }), "INVALID_FIELDS", "/payment_token"),
        (
            json!({ "items": input(&mug, 1)["items"], "paymentToken": "unknown" }),
            "UNKNOWN_PAYMENT_TOKEN",
            "/payment_token",
        ),
    ];
    for (input, code, fault) in cases {
        let answer = app.place(&ada, "k", input.clone()).await;
        assert_eq!((answer.code(), answer.faults()), (code, vec![fault]), "{input}");
        assert_eq!(answer.0["data"]["placeOrder"], Value::Null);
    }
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = app.place(&ada, key, input(&mug, 1)).await;
        assert_eq!((answer.code(), answer.faults()), ("MALFORMED_PARAMETER", vec!["idempotencyKey"]));
    }
    for quantity in [json!(1.0), json!("1"), Value::Null] {
        let input = json!({ "items": [{ "productId": mug, "quantity": quantity }], "paymentToken": "tok_ok" });
        assert_eq!(app.place(&ada, "k", input).await.code(), "INVALID_DOCUMENT");
    }
    assert_eq!(app.available(&mug).await, 9);
    assert!(app.events().await.is_empty());
}

#[tokio::test]
async fn orders_are_cancelled_and_fulfilled() {
    let app = TestApp::start().await;
    let (ada, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let cancelled = app.confirmed(&ada, &mug).await;
    let answer = app.command(Some(&ada), CANCEL, &cancelled).await;
    assert_eq!(answer.data()["cancelOrder"]["order"]["status"], "CANCELLING");
    let fulfilled = app.confirmed(&ada, &mug).await;
    for _ in 0..2 {
        let answer = app.command(Some(&operator), FULFIL, &fulfilled).await;
        assert_eq!(answer.data()["fulfilOrder"]["order"]["status"], "FULFILLED");
    }
    assert_eq!(app.payments.captures_and_refunds(), (1, 0));
    assert_eq!(app.command(Some(&operator), FULFIL, &cancelled).await.code(), "STATUS_CONFLICT");
    // Role before existence, as over REST.
    assert_eq!(app.command(Some(&ada), FULFIL, "nonsense").await.code(), "OPERATOR_REQUIRED");
    assert_eq!(app.command(Some(&operator), FULFIL, "nonsense").await.code(), "NOT_FOUND");
    for command in [CANCEL, FULFIL] {
        assert_eq!(app.command(None, command, &fulfilled).await.code(), "TOKEN_MISSING");
    }
    let bad = json!({ "key": "", "id": fulfilled });
    assert_eq!(app.graphql(Some(&ada), CANCEL, bad).await.faults(), ["idempotencyKey"]);
}

#[tokio::test]
async fn an_account_that_is_closing_may_only_read() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let order = app.confirmed(&ada, &mug).await;
    let closing = format!("/internal/v1/accounts/{}/closing", ada.id);
    app.request(http::Method::PUT, &closing).by_service("user").send().await;
    assert_eq!(app.place(&ada, "k", input(&mug, 1)).await.code(), "ACCOUNT_CLOSING");
    assert_eq!(app.command(Some(&ada), CANCEL, &order).await.code(), "ACCOUNT_CLOSING");
    app.graphql(Some(&ada), "{ orders { edges { cursor } } }", json!({})).await.data();
}
