//! Bad input: the right status, the field's name, and nothing changed.

use auth::Role;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Person, RequestExt as _, TestApp};

/// Sets the member at a pointer to `value`, or removes it.
fn with(mut body: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(parent.insert(name.to_owned(), value)),
        None => drop(parent.remove(name)),
    }
    body
}

#[tokio::test]
async fn every_fault_of_an_order_is_named() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let line = json!({ "product_id": mug, "quantity": 1 });
    let good = json!({ "items": [line], "payment_token": "tok_ok" });
    let quantity = "/items/0/quantity";
    let product = "/items/0/product_id";
    let cases = [
        (quantity, Some(json!(0))),
        (quantity, Some(json!(-1))),
        (quantity, Some(json!(1000))),
        (quantity, Some(json!(9_999_999_999_i64))),
        (quantity, Some(json!(1.0))),
        (quantity, Some(json!("1"))),
        (quantity, Some(Value::Null)),
        (quantity, None),
        (product, Some(json!("nonsense"))),
        (product, Some(json!(mug.replace('-', "")))),
        (product, Some(json!(7))),
        (product, Some(Value::Null)),
        (product, None),
        (product, Some(json!(Uuid::new_v4()))),
        ("/items/0/price", Some(json!(1))),
        ("/items", Some(json!([]))),
        ("/items", Some(json!({}))),
        ("/items", Some(json!(vec![line.clone(); 51]))),
        ("/items", None),
        ("/payment_token", Some(json!(""))),
        ("/payment_token", Some(json!("two words"))),
        ("/payment_token", Some(json!("tok\u{7}"))),
        ("/payment_token", Some(json!("x".repeat(256)))),
        ("/payment_token", Some(json!(["tok_ok"]))),
        ("/payment_token", None),
        ("/total", Some(json!(1))),
    ];
    for (pointer, value) in cases {
        let body = with(good.clone(), pointer, value);
        let response = app.post("/v1/orders").by(&customer).key("k").json(&body).send().await;
        assert_eq!(response.problem(422).faults(), [pointer], "{body}");
    }
    let twice = format!(r#"{{"items":[{line}],"payment_token":"tok_ok","payment_token":"tok_ok"}}"#);
    let response = app.post("/v1/orders").by(&customer).key("k").raw_json(twice).send().await;
    assert_eq!(response.problem(422).faults(), ["/payment_token"]);
    for root in [json!([]), json!(1), Value::Null] {
        let response = app.post("/v1/orders").by(&customer).key("k").json(&root).send().await;
        assert_eq!(response.problem(422).faults(), [""]);
    }
    assert_eq!(app.available(&mug).await, 9);
    assert!(app.events().await.is_empty());
}

#[tokio::test]
async fn every_fault_of_a_product_is_named() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let good = json!({
        "sku": "tea", "name": "Tea", "description": "",
        "price": { "amount": 1, "currency": "EUR" }, "stock": 0,
    });
    let cases = [
        ("/sku", Some(json!(""))),
        ("/sku", Some(json!("a b"))),
        ("/sku", Some(json!("x".repeat(65)))),
        ("/sku", None),
        ("/name", Some(json!(""))),
        ("/name", Some(json!("x".repeat(201)))),
        ("/name", Some(json!("a\nb"))),
        ("/name", None),
        ("/description", Some(json!("x".repeat(5001)))),
        ("/description", Some(json!("a\u{0}"))),
        ("/description", Some(Value::Null)),
        ("/description", None),
        ("/price/amount", Some(json!(0))),
        ("/price/amount", Some(json!(100_000_001))),
        ("/price/amount", Some(json!(1.5))),
        ("/price/amount", None),
        ("/price/currency", Some(json!("XYZ"))),
        ("/price/currency", Some(json!("eur"))),
        ("/price/currency", None),
        ("/price/tax", Some(json!(1))),
        ("/price", Some(json!(1))),
        ("/price", None),
        ("/stock", Some(json!(-1))),
        ("/stock", Some(json!(1_000_000_001))),
        ("/stock", Some(json!(true))),
        ("/stock", None),
        ("/id", Some(json!("mine"))),
    ];
    for (pointer, value) in cases {
        let body = with(good.clone(), pointer, value);
        let response = app.post("/v1/products").by(&operator).key("k").json(&body).send().await;
        assert_eq!(response.problem(422).faults(), [pointer]);
    }
    let several = json!({ "sku": "", "name": 1, "price": { "amount": 0 }, "stock": -1 });
    let response = app.post("/v1/products").by(&operator).key("k").json(&several).send().await;
    let mut faults = response.problem(422).faults();
    faults.sort_unstable();
    assert_eq!(faults, ["/description", "/name", "/price/amount", "/price/currency", "/sku", "/stock"]);
    // And of a change.
    let id = app.product("mug", 100, 9).await;
    for (pointer, body) in [
        ("/name", json!({ "name": null })),
        ("/sku", json!({ "sku": "new" })),
        ("/stock", json!({ "stock": 1 })),
        ("/price/currency", json!({ "price": { "amount": 1 } })),
    ] {
        let request = app.request(Method::PATCH, &format!("/v1/products/{id}")).by(&operator).header("if-match", "*");
        assert_eq!(request.json(&body).send().await.problem(422).faults(), [pointer]);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_malformed() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let restock = format!("/v1/products/{mug}/restock");
    let change = format!("/v1/products/{mug}");
    let requests: [(Method, &str, &Person); 4] = [
        (Method::POST, "/v1/orders", &customer),
        (Method::POST, "/v1/products", &operator),
        (Method::POST, &restock, &operator),
        (Method::PATCH, &change, &operator),
    ];
    for (method, path, person) in requests {
        let request = || app.request(method.clone(), path).by(person).key("k").header("if-match", "*");
        for body in [&b""[..], b"{", b"{} {}", b"{\"name\":\"\xff\"}", b"nonsense"] {
            request().raw_json(body).send().await.problem(400);
        }
        request().send().await.problem(415);
        request().header("content-type", "text/plain").send().await.problem(415);
        let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
        request().raw_json(large).send().await.problem(413);
    }
}

#[tokio::test]
async fn a_key_is_needed_and_must_be_plain() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let restock = format!("/v1/products/{mug}/restock");
    for (path, person) in [("/v1/orders", &customer), ("/v1/products", &operator), (&*restock, &operator)] {
        let request = || app.post(path).by(person);
        assert_eq!(request().json(&json!({})).send().await.problem(400).faults(), ["Idempotency-Key"]);
        for key in ["", "two words", &"k".repeat(256)] {
            assert_eq!(request().key(key).json(&json!({})).send().await.problem(400).faults(), ["Idempotency-Key"]);
        }
        request().key("k").key("k").json(&json!({})).send().await.problem(400);
        request().key(&"k".repeat(255)).json(&json!({})).send().await.problem(422);
    }
}

#[tokio::test]
async fn tokens_are_checked() {
    let app = TestApp::start().await;
    let id = Uuid::new_v4();
    let good = app.token(id, Role::Customer, 60);
    let person = |token: String| Person { id, token };
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = TestApp::start().await.token(id, Role::Operator, 60);
    let bad = [
        String::new(),
        "nonsense".to_owned(),
        head.to_owned(),
        format!("{head}.{}", signature.chars().rev().collect::<String>()),
        app.token(id, Role::Customer, -1),
        other,
    ];
    for token in bad {
        for path in ["/v1/orders", "/v1/orders/nonsense"] {
            let response = app.get(path).by(&person(token.clone())).send().await;
            assert_eq!(response.problem(401).header("www-authenticate"), "Bearer");
        }
    }
    let response = app.get("/v1/orders").send().await;
    assert_eq!(response.problem(401).header("www-authenticate"), "Bearer");
    assert_eq!(app.get("/v1/orders").by(&person(good.clone())).send().await.status, 200);
    app.clock.advance(std::time::Duration::from_secs(61));
    app.get("/v1/orders").by(&person(good)).send().await.problem(401);
}

#[tokio::test]
async fn paths_that_name_nothing_are_not_found() {
    let app = TestApp::start().await;
    let (customer, operator) = (app.customer(), app.operator());
    let upper = Uuid::new_v4().simple().to_string();
    for id in ["nonsense", "%ff", &upper, &Uuid::new_v4().to_string(), "1"] {
        app.get(&format!("/v1/products/{id}")).send().await.problem(404);
        app.get(&format!("/v1/orders/{id}")).by(&customer).send().await.problem(404);
        app.post(&format!("/v1/orders/{id}/cancel")).by(&customer).send().await.problem(404);
        app.post(&format!("/v1/orders/{id}/fulfil")).by(&operator).send().await.problem(404);
        app.post(&format!("/v1/products/{id}/restock")).by(&operator).send().await.problem(404);
        app.request(Method::PATCH, &format!("/v1/products/{id}")).by(&operator).send().await.problem(404);
    }
    for path in ["/", "/v1", "/v1/products/", "/v1/orders/", "/v2/orders", "//v1/orders"] {
        app.get(path).by(&customer).send().await.problem(404);
    }
}

#[tokio::test]
async fn refusals_come_in_one_order() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let unknown = format!("/v1/products/{}", Uuid::new_v4());
    let known = format!("/v1/products/{mug}");
    // 401, 403, 404, 428, 400 / 415, 422, 412: each request has the faults of all that follow.
    let request = |path: &str| app.request(Method::PATCH, path);
    request(&unknown).send().await.problem(401);
    request(&unknown).by(&customer).send().await.problem(403);
    request(&unknown).by(&operator).send().await.problem(404);
    request(&known).by(&operator).raw_json("{").send().await.problem(428);
    request(&known).by(&operator).header("if-match", "\"9\"").send().await.problem(415);
    request(&known).by(&operator).header("if-match", "\"9\"").raw_json("{").send().await.problem(400);
    request(&known).by(&operator).header("if-match", "\"9\"").raw_json("{\"x\":1}").send().await.problem(422);
    request(&known).by(&operator).header("if-match", "\"9\"").raw_json("{}").send().await.problem(412);
    // Fulfilling: role before existence before state.
    let order = app.order_by(&customer, "k", &mug, 1, "tok_declined").send().await.id();
    app.post("/v1/orders/nonsense/fulfil").by(&customer).send().await.problem(403);
    app.post("/v1/orders/nonsense/fulfil").by(&operator).send().await.problem(404);
    app.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await.problem(409);
    // Ordering: what does not fit comes before what is short.
    let body = json!({ "items": [
        { "product_id": mug, "quantity": 99 }, { "product_id": Uuid::new_v4(), "quantity": 1 },
    ], "payment_token": "tok_ok" });
    app.post("/v1/orders").by(&customer).key("l").json(&body).send().await.problem(422);
}
