//! `/v1/products`.

use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, Told};

fn tea(sku: &str) -> Value {
    json!({
        "sku": sku, "name": "Green tea", "description": "Two\nlines",
        "price": { "amount": 890, "currency": "EUR" }, "stock": 5,
    })
}

async fn patch(shop: &Shop, id: &str, if_match: &str, change: &Value) -> Told {
    let ask = shop.ask(Method::PATCH, &format!("/v1/products/{id}")).by(&shop.operator());
    ask.header("if-match", if_match).json(change).send().await
}

#[tokio::test]
async fn a_product_is_added_once_a_key() {
    let shop = Shop::open().await;
    let operator = shop.operator();
    let told = shop.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send().await;
    assert_eq!(told.status, StatusCode::CREATED);
    assert_eq!((told.header("etag"), told.header("idempotent-replayed")), ("\"1\"", ""));
    assert_eq!(told.header("location"), format!("/v1/products/{}", told.id()));
    let expected = json!({
        "id": told.id(), "sku": "tea", "name": "Green tea", "description": "Two\nlines",
        "price": { "amount": 890, "currency": "EUR" }, "available": 5, "version": 1,
    });
    assert_eq!(told.body, expected);
    let read = shop.get(told.header("location")).send().await;
    assert_eq!((read.status, read.header("etag"), &read.body), (StatusCode::OK, "\"1\"", &expected));
    // Again: the product as it is now.
    patch(&shop, &told.id(), "\"1\"", &json!({ "name": "Tea" })).await;
    let again = shop.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!((again.text("name"), again.header("etag")), ("Tea", "\"2\""));
    shop.post("/v1/products").by(&operator).key("k").json(&tea("other")).send().await.refused(422);
    let told = shop.post("/v1/products").by(&operator).key("l").json(&tea("tea")).send().await;
    assert_eq!(told.refused(409).faults(), ["/sku"]);
    // The refused key can be used.
    let told = shop.post("/v1/products").by(&operator).key("l").json(&tea("other")).send().await;
    assert_eq!(told.status, StatusCode::CREATED);
}

#[tokio::test]
async fn of_many_at_once_one_adds() {
    let shop = Shop::open().await;
    let operator = shop.operator();
    let add = |_| shop.post("/v1/products").by(&operator).key("k").json(&tea("tea")).send();
    let told = join_all((0..8).map(add)).await;
    let count = |status| told.iter().filter(|told| told.status == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::OK)), (1, 7));
    assert!(told.iter().all(|t| t.id() == told[0].id()));
}

#[tokio::test]
async fn a_change_needs_the_version_it_was_made_on() {
    let shop = Shop::open().await;
    let id = shop.product("tea", 890, 5).await;
    let change = json!({ "name": "New", "description": "", "price": { "amount": 1, "currency": "JPY" } });
    let told = patch(&shop, &id, "\"1\"", &change).await;
    assert_eq!((told.status, told.header("etag"), told.body["version"].as_i64()), (StatusCode::OK, "\"2\"", Some(2)));
    assert_eq!(told.body["price"], json!({ "amount": 1, "currency": "JPY" }));
    patch(&shop, &id, "\"1\"", &change).await.refused(412);
    patch(&shop, &id, "W/\"2\"", &json!({ "name": "Weak" })).await.refused(412);
    assert_eq!(patch(&shop, &id, "\"9\", \"2\"", &json!({ "name": "List" })).await.header("etag"), "\"3\"");
    assert_eq!(patch(&shop, &id, "*", &json!({ "name": "Any" })).await.header("etag"), "\"4\"");
    // What changes nothing is no change.
    assert_eq!(patch(&shop, &id, "\"4\"", &json!({})).await.header("etag"), "\"4\"");
    assert_eq!(patch(&shop, &id, "\"4\"", &json!({ "name": "Any" })).await.header("etag"), "\"4\"");
    patch(&shop, &id, "\"1\"", &json!({})).await.refused(412);
    assert_eq!(patch(&shop, &id, "nonsense", &json!({})).await.refused(400).faults(), ["If-Match"]);
    let path = format!("/v1/products/{id}");
    shop.ask(Method::PATCH, &path).by(&shop.operator()).json(&json!({})).send().await.refused(428);
}

#[tokio::test]
async fn of_many_changes_on_one_version_one_wins() {
    let shop = Shop::open().await;
    let id = shop.product("tea", 890, 5).await;
    let change = async |n: i32| patch(&shop, &id, "\"1\"", &json!({ "name": format!("Name {n}") })).await;
    let told = join_all((0..8).map(change)).await;
    assert_eq!(told.iter().filter(|told| told.status == StatusCode::OK).count(), 1);
    assert_eq!(told.iter().filter(|told| told.status == StatusCode::PRECONDITION_FAILED).count(), 7);
}

#[tokio::test]
async fn restocking_counts_once_a_key_and_raises_no_version() {
    let shop = Shop::open().await;
    let (operator, customer, id) = (shop.operator(), shop.customer(), shop.product("tea", 890, 5).await);
    let restock = async |key: &str, quantity: i64| {
        let ask = shop.post(&format!("/v1/products/{id}/restock")).by(&operator).key(key);
        ask.json(&json!({ "quantity": quantity })).send().await
    };
    let told = restock("k", 4).await;
    assert_eq!((told.status, told.body["available"].as_i64(), told.header("etag")), (StatusCode::OK, Some(9), "\"1\""));
    shop.confirmed(&customer, &id).await;
    let again = restock("k", 4).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!(again.body["available"], 8, "as it is now");
    restock("k", 5).await.refused(422);
    assert_eq!(restock("l", 1_000_000).await.body["available"], 1_000_008);
    assert_eq!(restock("m", 0).await.refused(422).faults(), ["/quantity"]);
    assert_eq!(restock("m", 1_000_001).await.refused(422).faults(), ["/quantity"]);
    // The same key on another product is another command.
    let other = shop.product("pot", 890, 5).await;
    let ask = shop.post(&format!("/v1/products/{other}/restock")).by(&operator).key("k");
    assert_eq!(ask.json(&json!({ "quantity": 1 })).send().await.body["available"], 6);
}

#[tokio::test]
async fn there_is_room_for_a_thousand_million() {
    let shop = Shop::open().await;
    let id = shop.product("tea", 890, 999_999_999).await;
    let restock = async |quantity: i64| {
        let ask = shop.post(&format!("/v1/products/{id}/restock")).by(&shop.operator()).key("k");
        ask.json(&json!({ "quantity": quantity })).send().await
    };
    assert_eq!(restock(2).await.refused(422).faults(), ["/quantity"]);
    assert_eq!(restock(1).await.body["available"], 1_000_000_000);
}

#[tokio::test]
async fn the_catalogue_is_the_operators() {
    let shop = Shop::open().await;
    let (customer, id) = (shop.customer(), shop.product("tea", 890, 5).await);
    let path = format!("/v1/products/{id}");
    shop.post("/v1/products").send().await.refused(401);
    shop.post("/v1/products").by(&customer).send().await.refused(403);
    shop.ask(Method::PATCH, &path).by(&customer).send().await.refused(403);
    shop.post(&format!("{path}/restock")).by(&customer).send().await.refused(403);
    shop.post(&format!("/v1/products/{}/restock", Uuid::new_v4())).by(&customer).send().await.refused(403);
    assert_eq!(shop.get(&path).send().await.status, StatusCode::OK, "no token is needed to read");
}

#[tokio::test]
async fn seeding_adds_what_is_missing() {
    let shop = Shop::open().await;
    let products = || order::app::seed::read(order::app::seed::PRODUCTS).unwrap();
    let (count, first) = (products().len(), products()[0].sku.to_string());
    let kept = shop.product(&first, 1, 1).await;
    let seeded = shop.app.seed(products()).await.unwrap();
    assert_eq!((seeded.added, seeded.present), (count - 1, 1));
    let seeded = shop.app.seed(products()).await.unwrap();
    assert_eq!((seeded.added, seeded.present), (0, count));
    assert_eq!(shop.available(&kept).await, 1);
    let audit = shop.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(audit.body["stock"], json!({ "products": count, "violations": [] }));
}

#[tokio::test]
async fn a_look_at_a_product_is_remembered_until_the_product_changes() {
    let shop = Shop::open().await;
    let (operator, ada) = (shop.operator(), shop.customer());
    let id = shop.product("mug", 1000, 5).await;
    assert_eq!(shop.available(&id).await, 5);
    // Past the use cases, as nobody should.
    let key = order::app::ports::Key {
        user: order::domain::ids::UserId(Uuid::nil()),
        command: "test".into(),
        key: "k".into(),
        digest: [0; 32],
        at: shop.app.clock.now(),
    };
    let behind = order::domain::ids::ProductId(id.parse().unwrap());
    shop.app.products.restock(behind, order::domain::values::Delivery::parse(10).unwrap(), &key).await.unwrap();
    assert_eq!(shop.available(&id).await, 5, "not asked of the store again");

    shop.order(&ada, "one", &id, 2).send().await;
    assert_eq!(shop.available(&id).await, 13, "sold");
    let restock = shop.post(&format!("/v1/products/{id}/restock")).by(&operator).key("more");
    restock.json(&json!({"quantity": 1})).send().await;
    assert_eq!(shop.available(&id).await, 14, "delivered");
    let path = format!("/v1/products/{id}");
    shop.ask(Method::PATCH, &path).by(&operator).header("if-match", "*").json(&json!({"name": "Cup"})).send().await;
    assert_eq!(shop.get(&path).send().await.text("name"), "Cup");
    shop.order_by(&ada, "two", &id, 3, "tok_declined").send().await;
    assert_eq!(shop.available(&id).await, 14, "a declined order gives its pieces back");
}
