//! `/v1/products`.

use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::http::TestResponse;
use uuid::Uuid;

use crate::app::{RequestExt as _, TestApp};

fn tea(sku: &str) -> Value {
    json!({
        "sku": sku, "name": "Green tea", "description": "Two\nlines",
        "price": { "amount": 890, "currency": "EUR" }, "stock": 5,
    })
}

async fn patch(app: &TestApp, id: &str, if_match: &str, change: &Value) -> TestResponse {
    let request = app.request(Method::PATCH, &format!("/v1/products/{id}")).by(&app.operator());
    request.header("if-match", if_match).json(change).send().await
}

#[tokio::test]
async fn a_product_is_added_once_a_key() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let response = app.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send().await;
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!((response.etag(), response.headers.contains_key("idempotent-replayed")), ("\"1\"", false));
    assert_eq!(response.header("location"), format!("/v1/products/{}", response.id()));
    let expected = json!({
        "id": response.id(), "sku": "tea", "name": "Green tea", "description": "Two\nlines",
        "price": { "amount": 890, "currency": "EUR" }, "available": 5, "version": 1,
    });
    assert_eq!(response.body, expected);
    let read = app.get(response.header("location")).send().await;
    assert_eq!((read.status, read.etag(), &read.body), (StatusCode::OK, "\"1\"", &expected));
    // Again: the product as it is now.
    patch(&app, &response.id(), "\"1\"", &json!({ "name": "Tea" })).await;
    let again = app.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!((again.text("name"), again.etag()), ("Tea", "\"2\""));
    app.post("/v1/products").by(&operator).key("k").json(&tea("other")).send().await.problem(422);
    let response = app.post("/v1/products").by(&operator).key("l").json(&tea("tea")).send().await;
    assert_eq!(response.problem(409).faults(), ["/sku"]);
    // The refused key can be used.
    let response = app.post("/v1/products").by(&operator).key("l").json(&tea("other")).send().await;
    assert_eq!(response.status, StatusCode::CREATED);
}

#[tokio::test]
async fn of_many_at_once_one_adds() {
    let app = TestApp::start().await;
    let operator = app.operator();
    let add = |_| app.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send();
    let responses = join_all((0..8).map(add)).await;
    let count = |status| responses.iter().filter(|response| response.status == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::OK)), (1, 7));
    assert!(responses.iter().all(|response| response.id() == responses[0].id()));
    assert!(Uuid::try_parse(&responses[0].id()).is_ok());
}

#[tokio::test]
async fn a_change_needs_the_version_it_was_made_on() {
    let app = TestApp::start().await;
    let id = app.product("tea", 890, 5).await;
    let change = json!({ "name": "New", "description": "", "price": { "amount": 1, "currency": "JPY" } });
    let response = patch(&app, &id, "\"1\"", &change).await;
    assert_eq!(
        (response.status, response.etag(), response.body["version"].as_i64()),
        (StatusCode::OK, "\"2\"", Some(2))
    );
    assert_eq!(response.body["price"], json!({ "amount": 1, "currency": "JPY" }));
    patch(&app, &id, "\"1\"", &change).await.problem(412);
    patch(&app, &id, "W/\"2\"", &json!({ "name": "Weak" })).await.problem(412);
    assert_eq!(patch(&app, &id, "\"9\", \"2\"", &json!({ "name": "List" })).await.etag(), "\"3\"");
    assert_eq!(patch(&app, &id, "*", &json!({ "name": "Any" })).await.etag(), "\"4\"");
    // What changes nothing is no change.
    assert_eq!(patch(&app, &id, "\"4\"", &json!({})).await.etag(), "\"4\"");
    assert_eq!(patch(&app, &id, "\"4\"", &json!({ "name": "Any" })).await.etag(), "\"4\"");
    patch(&app, &id, "\"1\"", &json!({})).await.problem(412);
    assert_eq!(patch(&app, &id, "nonsense", &json!({})).await.problem(400).faults(), ["If-Match"]);
    let path = format!("/v1/products/{id}");
    app.request(Method::PATCH, &path).by(&app.operator()).json(&json!({})).send().await.problem(428);
}

#[tokio::test]
async fn of_many_changes_on_one_version_one_wins() {
    let app = TestApp::start().await;
    let id = app.product("tea", 890, 5).await;
    let change = async |n: i32| patch(&app, &id, "\"1\"", &json!({ "name": format!("Name {n}") })).await;
    let responses = join_all((0..8).map(change)).await;
    assert_eq!(responses.iter().filter(|response| response.status == StatusCode::OK).count(), 1);
    assert_eq!(responses.iter().filter(|response| response.status == StatusCode::PRECONDITION_FAILED).count(), 7);
}

#[tokio::test]
async fn restocking_counts_once_a_key_and_raises_no_version() {
    let app = TestApp::start().await;
    let (operator, customer, id) = (app.operator(), app.customer(), app.product("tea", 890, 5).await);
    let restock = async |key: &str, quantity: i64| {
        let request = app.post(&format!("/v1/products/{id}/restock")).by(&operator).key(key);
        request.json(&json!({ "quantity": quantity })).send().await
    };
    let response = restock("k", 4).await;
    assert_eq!(
        (response.status, response.body["available"].as_i64(), response.etag()),
        (StatusCode::OK, Some(9), "\"1\"")
    );
    app.confirmed(&customer, &id).await;
    let again = restock("k", 4).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!(again.body["available"], 8, "as it is now");
    restock("k", 5).await.problem(422);
    assert_eq!(restock("l", 1_000_000).await.body["available"], 1_000_008);
    assert_eq!(restock("m", 0).await.problem(422).faults(), ["/quantity"]);
    assert_eq!(restock("m", 1_000_001).await.problem(422).faults(), ["/quantity"]);
    // The same key on another product is another command.
    let other = app.product("pot", 890, 5).await;
    let request = app.post(&format!("/v1/products/{other}/restock")).by(&operator).key("k");
    assert_eq!(request.json(&json!({ "quantity": 1 })).send().await.body["available"], 6);
}

#[tokio::test]
async fn there_is_room_for_a_thousand_million() {
    let app = TestApp::start().await;
    let id = app.product("tea", 890, 999_999_999).await;
    let restock = async |quantity: i64| {
        let request = app.post(&format!("/v1/products/{id}/restock")).by(&app.operator()).key("k");
        request.json(&json!({ "quantity": quantity })).send().await
    };
    assert_eq!(restock(2).await.problem(422).faults(), ["/quantity"]);
    assert_eq!(restock(1).await.body["available"], 1_000_000_000);
}

#[tokio::test]
async fn the_catalogue_is_the_operators() {
    let app = TestApp::start().await;
    let (customer, id) = (app.customer(), app.product("tea", 890, 5).await);
    let path = format!("/v1/products/{id}");
    app.post("/v1/products").send().await.problem(401);
    app.post("/v1/products").by(&customer).send().await.problem(403);
    app.request(Method::PATCH, &path).by(&customer).send().await.problem(403);
    app.post(&format!("{path}/restock")).by(&customer).send().await.problem(403);
    app.post(&format!("/v1/products/{}/restock", Uuid::new_v4())).by(&customer).send().await.problem(403);
    assert_eq!(app.get(&path).send().await.status, StatusCode::OK, "no token is needed to read");
}

#[tokio::test]
async fn seeding_adds_what_is_missing() {
    let app = TestApp::start().await;
    let products = || order::app::seed::read(order::app::seed::PRODUCTS).unwrap();
    let (count, first) = (products().len(), products()[0].sku.to_string());
    let kept = app.product(&first, 1, 1).await;
    let seeded = app.use_cases.seed(products()).await.unwrap();
    assert_eq!((seeded.added, seeded.present), (count - 1, 1));
    let seeded = app.use_cases.seed(products()).await.unwrap();
    assert_eq!((seeded.added, seeded.present), (0, count));
    assert_eq!(app.available(&kept).await, 1);
    let audit = app.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(audit.body["stock"], json!({ "products": count, "violations": [] }));
}

#[tokio::test]
async fn a_product_is_cached_until_it_changes() {
    let app = TestApp::start().await;
    let (operator, ada) = (app.operator(), app.customer());
    let id = app.product("mug", 1000, 5).await;
    assert_eq!(app.available(&id).await, 5);
    // Past the use cases, so that nothing is invalidated.
    let key = order::app::ports::CommandKey {
        user: order::domain::ids::UserId(Uuid::nil()),
        command: "test".into(),
        key: "k".into(),
        digest: [0; 32],
        at: app.use_cases.clock.now(),
    };
    let product = order::domain::ids::ProductId(id.parse().unwrap());
    app.use_cases
        .products
        .restock(product, order::domain::values::RestockQuantity::parse(10).unwrap(), &key)
        .await
        .unwrap();
    assert_eq!(app.available(&id).await, 5, "from the cache");

    app.order(&ada, "one", &id, 2).send().await;
    assert_eq!(app.available(&id).await, 13, "sold");
    let restock = app.post(&format!("/v1/products/{id}/restock")).by(&operator).key("more");
    restock.json(&json!({"quantity": 1})).send().await;
    assert_eq!(app.available(&id).await, 14, "restocked");
    let path = format!("/v1/products/{id}");
    app.request(Method::PATCH, &path).by(&operator).header("if-match", "*").json(&json!({"name": "Cup"})).send().await;
    assert_eq!(app.get(&path).send().await.text("name"), "Cup");
    app.order_by(&ada, "two", &id, 3, "tok_declined").send().await;
    assert_eq!(app.available(&id).await, 14, "a declined order gives its pieces back");
}
