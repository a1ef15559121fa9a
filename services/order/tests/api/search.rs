//! `/v1/products/search` and `/v1/orders/search` without a search server, and with one that does not answer.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{RequestExt as _, TestApp};

async fn add(app: &TestApp, sku: &str, name: &str, description: &str, amount: i64) -> String {
    let body = json!({
        "sku": sku, "name": name, "description": description, "price": { "amount": amount, "currency": "EUR" }, "stock": 5,
    });
    let response = app.post("/v1/products").by(&app.operator()).key(sku).json(&body).send().await;
    assert_eq!(response.status, StatusCode::CREATED, "{response:?}");
    response.id()
}

async fn shop(app: &TestApp) {
    add(app, "MUG-1", "Enamel mug", "Holds 0.3 l. <b>Blue</b>", 1450).await;
    add(app, "MUG-2", "Stoneware mug", "", 2600).await;
    add(app, "POT-1", "Enamel pot", "For tea", 900).await;
}

/// An address at which nobody listens.
fn nobody() -> String {
    format!("http://127.0.0.1:{}", testkit::free_port())
}

fn skus(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["product"]["sku"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_found_comes_as_it_is_stored_with_what_was_searched_for_marked() {
    let app = TestApp::start().await;
    shop(&app).await;
    let found = app.get("/v1/products/search?query=enam%20blu").send().await;
    assert_eq!(found.status, StatusCode::OK, "{found:?}");
    let mug = app.get("/v1/products?query=MUG-1").send().await.body["items"][0].clone();
    assert_eq!(
        found.body,
        json!({
            "items": [{ "product": mug, "highlights": {
                "name": "<em>Enamel</em> mug", "description": "Holds 0.3 l. &lt;b&gt;<em>Blue</em>&lt;/b&gt;",
            } }],
            "total": 1,
            "facets": {
                "currency": [{ "value": "EUR", "count": 1 }], "price": [{ "value": "1000-2499", "count": 1 }],
            },
            "degraded": false,
            "next_cursor": null,
        })
    );
    // Stock is that of now, though nothing says so to a search.
    let product = mug["id"].as_str().unwrap();
    app.confirmed(&app.customer(), product).await;
    let found = app.get("/v1/products/search?query=blue").send().await;
    assert_eq!(found.body["items"][0]["product"]["available"], 4);
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let app = TestApp::start().await;
    shop(&app).await;
    let first = app.get("/v1/products/search?sort=-price&limit=2").send().await;
    assert_eq!((skus(&first.body), &first.body["total"]), (vec!["MUG-2", "MUG-1"], &json!(3)));
    let cursor = first.text("next_cursor");
    let second = app.get(&format!("/v1/products/search?sort=-price&limit=2&cursor={cursor}")).send().await;
    assert_eq!((skus(&second.body), &second.body["next_cursor"]), (vec!["POT-1"], &Value::Null));
    let other = app.get(&format!("/v1/products/search?sort=price&cursor={cursor}")).send().await;
    assert_eq!(other.problem(400).faults(), ["cursor"]);
    let list = app.get("/v1/products?limit=1").send().await;
    let other = app.get(&format!("/v1/products/search?cursor={}", list.text("next_cursor"))).send().await;
    assert_eq!(other.problem(400).faults(), ["cursor"]);
    let narrowed = app.get("/v1/products/search?query=enamel&max_price=1000&currency=EUR").send().await;
    assert_eq!(skus(&narrowed.body), ["POT-1"]);
    let none = app.get("/v1/products/search?query=%26%20-").send().await;
    assert_eq!((skus(&none.body), &none.body["total"]), (vec![], &json!(0)), "no word begins with punctuation");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let app = TestApp::start().await;
    for (query, at) in [
        ("query=a%0Ab", "query"),
        ("currency=EURO", "currency"),
        ("min_price=0", "min_price"),
        ("max_price=1.5", "max_price"),
        ("max_price=%2B5", "max_price"),
        ("sort=name", "sort"),
        ("limit=101", "limit"),
        ("cursor=abc", "cursor"),
        ("page=2", "page"),
    ] {
        let refused = app.get(&format!("/v1/products/search?{query}")).send().await;
        assert_eq!(refused.problem(400).faults(), [at], "{query}");
    }
    let words = ["a"; 17].join("%20");
    assert_eq!(app.get(&format!("/v1/products/search?query={words}")).send().await.problem(400).faults(), ["query"]);
    for (query, at) in [("status=abandoning", "status"), ("user_id=x", "user_id"), ("product_id=1", "product_id")] {
        let refused = app.get(&format!("/v1/orders/search?{query}")).by(&app.operator()).send().await;
        assert_eq!(refused.problem(400).faults(), [at], "{query}");
    }
}

#[tokio::test]
async fn one_product_that_cannot_be_read_is_left_out() {
    let app = TestApp::start().await;
    shop(&app).await;
    let id = add(&app, "MUG-3", "Enamel jug", "", 100).await;
    app.spoil(&id).await;
    let found = app.get("/v1/products/search?query=enamel&sort=-price").send().await;
    assert_eq!(skus(&found.body), ["MUG-1", "POT-1"], "{found:?}");
}

#[tokio::test]
async fn orders_are_searched_by_operators_and_on_a_server() {
    let app = TestApp::start().await;
    app.get("/v1/orders/search").send().await.problem(401);
    app.get("/v1/orders/search").by(&app.customer()).send().await.problem(403);
    let refused = app.get("/v1/orders/search").by(&app.operator()).send().await;
    assert!(refused.problem(503).headers.contains_key("retry-after"));
}

#[tokio::test]
async fn while_the_server_is_away_products_are_searched_in_the_store_and_that_is_said() {
    let app = TestApp::searching_on(&nobody()).await;
    shop(&app).await;
    let found = app.get("/v1/products/search?query=enamel&sort=price&limit=1").send().await;
    assert_eq!((skus(&found.body), &found.body["degraded"]), (vec!["POT-1"], &json!(true)));
    // The next page comes from the store as well, whoever answers by then.
    let cursor = found.text("next_cursor");
    let next = app.get(&format!("/v1/products/search?query=enamel&sort=price&cursor={cursor}")).send().await;
    assert_eq!((skus(&next.body), &next.body["degraded"]), (vec!["MUG-1"], &json!(true)));
    let refused = app.get("/v1/orders/search").by(&app.operator()).send().await;
    assert!(refused.problem(503).headers.contains_key("retry-after"));
    let head = app.request(Method::HEAD, "/v1/products/search").send().await;
    assert_eq!(head.status, StatusCode::OK);
}
