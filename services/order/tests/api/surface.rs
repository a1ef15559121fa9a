//! The interface as a whole: its description, methods, HEAD.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::Shop;

#[tokio::test]
async fn the_description_is_true() {
    let shop = Shop::open().await;
    let told = shop.get("/openapi.json").send().await;
    assert_eq!((told.status, told.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(told.text("openapi"), "3.1.0");
    let mut operations = 0;
    for (path, item) in told.body["paths"].as_object().unwrap() {
        let real = path.replace("{id}", &Uuid::new_v4().to_string());
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            let told = shop.ask(method.parse().unwrap(), &real).by(&shop.operator()).send().await;
            let described = item.get(method.to_lowercase());
            assert_eq!(told.status != StatusCode::METHOD_NOT_ALLOWED, described.is_some(), "{method} {path}");
            let Some(operation) = described else { continue };
            operations += 1;
            let code = told.status.as_str();
            assert!(operation["responses"].get(code).is_some(), "{method} {path} answers {code}");
            let open = operation["security"] == json!([]);
            let stranger = shop.ask(method.parse().unwrap(), &real).send().await;
            assert_eq!(stranger.status != StatusCode::UNAUTHORIZED, open, "{method} {path}");
        }
    }
    assert_eq!(operations, 10);
    references(&told.body, &told.body);
}

/// Every reference leads somewhere.
fn references(root: &Value, value: &Value) {
    if let Some(target) = value.get("$ref").and_then(Value::as_str) {
        assert!(root.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(root, item)),
        Value::Object(members) => members.values().for_each(|member| references(root, member)),
        _ => {}
    }
}

#[tokio::test]
async fn answers_have_the_described_members() {
    let shop = Shop::open().await;
    let (customer, mug) = (shop.customer(), shop.product("mug", 100, 9).await);
    let description = shop.get("/openapi.json").send().await.body;
    let order = shop.order_by(&customer, "k", &mug, 1, "tok_declined").send().await.body;
    let product = shop.get(&format!("/v1/products/{mug}")).send().await.body;
    for (name, document) in [("Order", order), ("Product", product)] {
        let schema = &description["components"]["schemas"][name];
        for member in schema["required"].as_array().unwrap() {
            assert!(document.get(member.as_str().unwrap()).is_some(), "{name} has no {member}");
        }
        for member in document.as_object().unwrap().keys() {
            assert!(schema["properties"].get(member).is_some(), "{name}: {member} is not described");
        }
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let shop = Shop::open().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/products", "GET,HEAD,POST"),
        (Method::PUT, "/v1/orders", "GET,HEAD,POST"),
        (Method::GET, "/v1/orders/x/cancel", "POST"),
        (Method::POST, "/openapi.json", "GET,HEAD"),
    ] {
        let told = shop.ask(method, path).send().await;
        let mut methods: Vec<_> = told.refused(405).header("allow").split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("mug", 100, 9).await);
    let told = shop.ask(Method::HEAD, &path).send().await;
    assert_eq!((told.status, told.header("etag"), &told.body), (StatusCode::OK, "\"1\"", &Value::Null));
}

#[tokio::test]
async fn a_problem_names_the_callers_trace() {
    let shop = Shop::open().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = shop.get("/v1/nothing").header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(ask.send().await.refused(404).text("instance"), format!("urn:trace:{trace}"));
    let told = shop.get("/v1/nothing").header("traceparent", "nonsense").send().await;
    assert_eq!(told.refused(404).text("instance").len(), "urn:trace:".len() + 32);
}

#[tokio::test]
async fn the_audit_adds_up() {
    let shop = Shop::open().await;
    let (customer, operator, mug) = (shop.customer(), shop.operator(), shop.product("mug", 100, 9).await);
    let order = shop.confirmed(&customer, &mug).await;
    shop.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await;
    shop.order_by(&customer, "r", &mug, 1, "tok_declined").send().await;
    let told = shop.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(
        told.body,
        json!({
            "orders": { "fulfilled": 1, "rejected": 1 },
            "unsettled": 0,
            "held": [],
            "captured": [{ "amount": 100, "currency": "EUR" }],
            "refunded": [],
            "stock": { "products": 1, "violations": [] },
            "outbox": 5,
        })
    );
}
