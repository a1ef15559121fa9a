//! The interface as a whole: its description, methods, HEAD.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use order::domain::status::{PaymentStatus, Reason, Status};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{RequestExt as _, TestApp};

#[tokio::test]
async fn the_description_is_true() {
    let app = TestApp::start().await;
    let response = app.get("/openapi.json").send().await;
    assert_eq!((response.status, response.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(response.text("openapi"), "3.1.0");
    let mut operations = 0;
    for (path, item) in response.body["paths"].as_object().unwrap() {
        let real = path.replace("{id}", &Uuid::new_v4().to_string()).replace("{user_id}", &Uuid::new_v4().to_string());
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            let response = app.request(method.parse().unwrap(), &real).by(&app.operator()).send().await;
            let described = item.get(method.to_lowercase());
            assert_eq!(response.status != StatusCode::METHOD_NOT_ALLOWED, described.is_some(), "{method} {path}");
            let Some(operation) = described else { continue };
            operations += 1;
            let code = response.status.as_str();
            assert!(operation["responses"].get(code).is_some(), "{method} {path} answers {code}");
            let open = operation["security"] == json!([]);
            let stranger = app.request(method.parse().unwrap(), &real).send().await;
            assert_eq!(stranger.status != StatusCode::UNAUTHORIZED, open, "{method} {path}");
        }
    }
    assert_eq!(operations, 18);
    testkit::committed("docs/openapi/order.json", std::str::from_utf8(&response.bytes).unwrap());
    assert!(checked_references(&response.body, &response.body) > 0);
}

/// Checks that every reference has its target; returns how many there are.
fn checked_references(root: &Value, value: &Value) -> usize {
    let target = value.get("$ref").and_then(Value::as_str);
    if let Some(target) = target {
        assert!(root.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    let within: usize = match value {
        Value::Array(items) => items.iter().map(|item| checked_references(root, item)).sum(),
        Value::Object(members) => members.values().map(|member| checked_references(root, member)).sum(),
        _ => 0,
    };
    within + usize::from(target.is_some())
}

#[tokio::test]
async fn answers_have_the_described_members() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 100, 9).await);
    let description = app.get("/openapi.json").send().await.body;
    let order = app.order_by(&customer, "k", &mug, 1, "tok_declined").send().await.body;
    let product = app.get(&format!("/v1/products/{mug}")).send().await.body;
    for (name, document) in [("Order", order), ("Product", product)] {
        let schema = &description["components"]["schemas"][name];
        let required = schema["required"].as_array().unwrap();
        assert!(!required.is_empty(), "{name}");
        for member in required {
            assert!(document.get(member.as_str().unwrap()).is_some(), "{name} has no {member}");
        }
        for member in document.as_object().unwrap().keys() {
            assert!(schema["properties"].get(member).is_some(), "{name}: {member} is not described");
        }
    }
}

/// Each status that an order can be shown with is in the description, and no other.
#[tokio::test]
async fn the_described_statuses_are_all() {
    let app = TestApp::start().await;
    let description = app.get("/openapi.json").send().await.body;
    let described = |name: &str| -> BTreeSet<String> {
        let values = description["components"]["schemas"][name]["enum"].as_array().unwrap().iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(described("OrderStatus"), names(&Status::ALL.map(Status::public_name)));
    assert_eq!(described("Reason"), names(&Reason::ALL.map(Reason::name)));
    assert_eq!(described("PaymentStatus"), names(&PaymentStatus::ALL.map(PaymentStatus::name)));
}

#[tokio::test]
async fn the_page_shows_each_operation() {
    let app = TestApp::start().await;
    let page = app.get("/docs").send().await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let html = String::from_utf8(page.bytes.to_vec()).unwrap();
    for (path, item) in app.get("/openapi.json").send().await.body["paths"].as_object().unwrap() {
        assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
        for operation in item.as_object().unwrap().values() {
            assert!(html.contains(&format!("id={}", operation["operationId"])), "{operation}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/products", "GET,HEAD,POST"),
        (Method::PUT, "/v1/orders", "GET,HEAD,POST"),
        (Method::GET, "/v1/orders/x/cancel", "POST"),
        (Method::POST, "/openapi.json", "GET,HEAD"),
    ] {
        let response = app.request(method, path).send().await;
        let mut methods: Vec<_> = response.problem(405).header("allow").split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let app = TestApp::start().await;
    let path = format!("/v1/products/{}", app.product("mug", 100, 9).await);
    let response = app.request(Method::HEAD, &path).send().await;
    assert_eq!((response.status, response.etag(), &response.body), (StatusCode::OK, "\"1\"", &Value::Null));
}

#[tokio::test]
async fn a_problem_names_the_callers_trace() {
    let app = TestApp::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app.get("/v1/nothing").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(request.send().await.problem(404).text("instance"), format!("urn:trace:{trace}"));
    let response = app.get("/v1/nothing").header("traceparent", "nonsense").send().await;
    assert_eq!(response.problem(404).text("instance").len(), "urn:trace:".len() + 32);
}

#[tokio::test]
async fn the_audit_adds_up() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let order = app.confirmed(&customer, &mug).await;
    app.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await;
    app.order_by(&customer, "r", &mug, 1, "tok_declined").send().await;
    let response = app.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(
        response.body,
        json!({
            "orders": { "fulfilled": 1, "rejected": 1 },
            "unsettled": 0,
            "held": [],
            "captured": [{ "amount": 100, "currency": "EUR" }],
            "refunded": [],
            "stock": { "products": 1, "violations": [] },
            "outbox": 6,
        })
    );
}

#[tokio::test]
async fn orders_and_customers_are_listed_for_the_audit() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 100, 9).await);
    let order = app.confirmed(&customer, &mug).await;
    app.post(&format!("/v1/orders/{order}/fulfil")).by(&operator).send().await;
    let list = async |query: &str| app.get(&format!("/internal/v1/audit/{query}")).by_service("trireme").send().await;
    let orders = list("orders?limit=5").await.body["orders"].clone();
    assert_eq!((orders[0]["id"].as_str(), orders[0]["status"].as_str()), (Some(&*order), Some("fulfilled")));
    assert_eq!((&orders[0]["settled"], &orders[0]["lines"]), (&json!(true), &json!(100)));
    assert_eq!(orders[0]["total"], json!({ "amount": 100, "currency": "EUR" }));
    assert_eq!(orders[0]["payment"]["status"], "captured");
    assert_eq!(list(&format!("orders?after={order}")).await.body, json!({ "orders": [] }));
    let customers = list("customers").await.body["customers"].clone();
    assert_eq!((&customers[0]["confirmed"], &customers[0]["open"]), (&json!(1), &json!(0)));
    list("orders?after=nobody").await.problem(400);
}
