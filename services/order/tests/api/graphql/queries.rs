//! What can be read, and with how many calls.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::app::{RequestExt as _, TestApp};

const ORDERS: &str = "query($first: Int, $after: String, $userId: String) {
    orders(first: $first, after: $after, userId: $userId) {
        edges { cursor node { id userId customer { id email name status ordersPlaced } } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

fn nodes(data: &Value) -> Vec<Value> {
    let edges = data["orders"]["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["node"].clone()).collect()
}

#[tokio::test]
async fn products_are_those_of_rest() {
    let app = TestApp::start().await;
    for sku in ["green-tea", "mug", "black-tea"] {
        app.product(sku, 1299, 5_000_000_000 % 1_000_000_000).await;
    }
    let query = "query($after: String) {
        products(query: \"tea\", first: 1, after: $after) {
            edges { node { id sku name description price { amount currency } available version } }
            pageInfo { hasNextPage endCursor }
        }
    }";
    let first = app.graphql(None, query, json!({})).await;
    let page = &first.data()["products"];
    let rest = app.get("/v1/products?query=tea&limit=1").send().await.body;
    assert_eq!(page["edges"][0]["node"], rest["items"][0]);
    // The cursors are the same, too.
    assert_eq!(
        (&page["pageInfo"]["hasNextPage"], &page["pageInfo"]["endCursor"]),
        (&json!(true), &rest["next_cursor"])
    );
    let next = app.graphql(None, query, json!({ "after": rest["next_cursor"] })).await;
    let page = &next.data()["products"];
    assert_eq!(
        (&page["edges"][0]["node"]["sku"], &page["pageInfo"]["hasNextPage"]),
        (&json!("green-tea"), &json!(false))
    );
    let id = &page["edges"][0]["node"]["id"];
    let one = app.graphql(None, "query($id: ID!) { product(id: $id) { sku } }", json!({ "id": id })).await;
    assert_eq!(one.data()["product"]["sku"], "green-tea");
}

#[tokio::test]
async fn an_order_is_that_of_rest() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let id = app.confirmed(&ada, &mug).await;
    let query = "query($id: ID!) { order(id: $id) {
        id user_id: userId status reason items { product_id: productId name quantity unit_price: unitPrice { amount currency } }
        total { amount currency } payment { id status } version created_at: createdAt updated_at: updatedAt
    } }";
    let mut order = app.graphql(Some(&ada), query, json!({ "id": id })).await.data()["order"].clone();
    let mut rest = app.get(&format!("/v1/orders/{id}")).by(&ada).send().await.body;
    assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("CONFIRMED"), &json!("AUTHORIZED")));
    for pointer in ["/status", "/payment/status"] {
        let state = order.pointer_mut(pointer).unwrap();
        *state = state.as_str().unwrap().to_lowercase().into();
    }
    rest["reason"] = Value::Null;
    assert_eq!(order, rest);
}

/// The names of a JSON text's fields, as they come; no text in it has a quote.
fn names(json: &str) -> Vec<&str> {
    let parts: Vec<_> = json.split('"').collect();
    let named = parts.windows(2).skip(1).step_by(2).filter(|pair| pair[1].starts_with(':'));
    named.map(|pair| pair[0]).collect()
}

/// GraphQL specification, 7.2.2: the order of fields is that of the document.
#[tokio::test]
async fn fields_come_in_the_documents_order() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let id = app.confirmed(&ada, &mug).await;
    // The user service is asked for the first field, the process itself for others: these are there sooner.
    let query = "query($id: ID!) {
        me { name id }
        last: order(id: $id) {
            version ...Money customer { name id } items { quantity unitPrice { currency amount } name } id
            payment { status id } updatedAt ...Money createdAt
        }
        products(first: 1) { pageInfo { hasNextPage endCursor } edges { node { sku ...Name available id } cursor } }
        again: order(id: $id) { id customer { email } version }
    }
    fragment Money on Order { total { currency amount } status }
    fragment Name on Product { version name }";
    let response = app.send(Some(&ada), &json!({ "query": query, "variables": { "id": id } })).await;
    let order = "version total currency amount status customer name id items quantity unitPrice currency amount name id \
        payment status id updatedAt createdAt";
    let expected = format!(
        "data me name id last {order} products pageInfo hasNextPage endCursor edges node sku version name available id cursor \
         again id customer email version"
    );
    assert_eq!(names(std::str::from_utf8(&response.bytes).unwrap()).join(" "), expected, "{response:?}");
}

#[tokio::test]
async fn a_page_asks_for_its_customers_once() {
    let app = TestApp::start().await;
    let (ada, bob, mug) = (app.customer(), app.customer(), app.product("mug", 100, 99).await);
    for person in [&ada, &bob, &ada, &bob, &ada] {
        app.confirmed(person, &mug).await;
    }
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({ "first": 2, "after": after, "userId": "all" });
        let answer = app.graphql(Some(&app.operator()), ORDERS, variables).await;
        let info = answer.data()["orders"]["pageInfo"].clone();
        assert_eq!(info["hasPreviousPage"], !after.is_null());
        let orders = nodes(answer.data());
        for order in &orders {
            let (user, customer) = (order["userId"].as_str().unwrap(), &order["customer"]);
            assert_eq!((&customer["id"], &customer["name"]), (&json!(user), &json!(format!("Customer {user}"))));
            assert_eq!((&customer["status"], &customer["ordersPlaced"]), (&json!("ACTIVE"), &json!(3)));
        }
        let calls = app.customers.take_calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        let asked: HashSet<_> = calls[0].iter().map(String::as_str).collect();
        assert_eq!(asked, orders.iter().map(|order| order["userId"].as_str().unwrap()).collect());
        seen.extend(orders);
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen.iter().map(|order| order["id"].as_str()).collect::<HashSet<_>>().len(), 5);
    // Whoever does not want to know them does not make anybody ask.
    app.graphql(Some(&ada), "{ orders { edges { node { id } } } }", json!({})).await.data();
    assert!(app.customers.take_calls().is_empty());
}

#[tokio::test]
async fn without_the_user_service_there_are_orders_without_customers() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 99).await);
    for _ in 0..3 {
        app.confirmed(&ada, &mug).await;
    }
    app.customers.go_down();
    let answer = app.graphql(Some(&ada), ORDERS, json!({})).await;
    let orders = nodes(&answer.0["data"]);
    assert_eq!(orders.len(), 3);
    assert!(orders.iter().all(|order| order["customer"].is_null() && order["userId"] == json!(ada.id)), "{orders:?}");
    let at = |n| ("UNAVAILABLE", format!("orders.edges.{n}.node.customer"));
    let errors = answer.errors();
    assert_eq!(errors.iter().collect::<HashSet<_>>(), [at(0), at(1), at(2)].iter().collect());
    assert!(!answer.0.to_string().contains("not now"), "{}", answer.0);
    assert_eq!(app.customers.take_calls().len(), 1);
    let me = app.graphql(Some(&ada), "{ me { id } products { edges { cursor } } }", json!({})).await;
    assert_eq!((me.errors(), &me.0["data"]["me"]), (vec![("UNAVAILABLE", "me".to_owned())], &Value::Null));
    assert_eq!(me.0["data"]["products"]["edges"].as_array().unwrap().len(), 1);
}

/// User is deployed first, with a status that this version does not know.
#[tokio::test]
async fn a_customer_that_cannot_be_read_is_missing_alone() {
    let app = TestApp::start().await;
    let (ada, bob, mug) = (app.customer(), app.customer(), app.product("mug", 100, 99).await);
    app.confirmed(&ada, &mug).await;
    app.confirmed(&bob, &mug).await;
    app.customers.write_anew(ada.id);
    let answer = app.graphql(Some(&app.operator()), ORDERS, json!({ "userId": "all" })).await;
    let orders = nodes(&answer.0["data"]);
    assert_eq!(orders.len(), 2);
    for order in orders {
        assert_eq!(order["customer"].is_null(), order["userId"] == json!(ada.id), "{}", answer.0);
    }
}

#[tokio::test]
async fn i_am_who_my_token_says() {
    let app = TestApp::start().await;
    let ada = app.customer();
    let me = app.graphql(Some(&ada), "{ me { id email } }", json!({})).await;
    assert_eq!(me.data()["me"], json!({ "id": ada.id, "email": format!("{}@example.com", ada.id) }));
    assert_eq!(app.graphql(None, "{ me { id } }", json!({})).await.code(), "TOKEN_MISSING");
}

#[tokio::test]
async fn what_is_found_is_what_rest_finds() {
    let app = TestApp::start().await;
    for (sku, amount) in [("green-tea", 900), ("mug", 1000), ("black-tea", 2900)] {
        app.product(sku, amount, 5).await;
    }
    let query = "query($after: String) {
        searchProducts(filter: { query: \"te\", maxPrice: 3000 }, sort: PRICE_DOWN, first: 1, after: $after) {
            edges { cursor node { sku available } highlights { field html } }
            pageInfo { hasNextPage hasPreviousPage endCursor } totalCount degraded facets { name counts { value count } }
        }
    }";
    let first = app.graphql(None, query, json!({})).await;
    let page = &first.data()["searchProducts"];
    let rest = app.get("/v1/products/search?query=te&max_price=3000&sort=-price&limit=1").send().await.body;
    assert_eq!(page["edges"][0]["node"], json!({ "sku": "black-tea", "available": 5 }));
    let marked = json!([
        { "field": "sku", "html": "black-<em>tea</em>" }, { "field": "name", "html": "Product black-<em>tea</em>" }
    ]);
    assert_eq!(page["edges"][0]["highlights"], marked);
    assert_eq!((&page["totalCount"], &page["degraded"]), (&json!(2), &json!(false)));
    assert_eq!(page["facets"][0]["counts"], rest["facets"]["currency"]);
    assert_eq!(page["pageInfo"]["endCursor"], rest["next_cursor"], "the cursors are the same, too");
    let next = app.graphql(None, query, json!({ "after": rest["next_cursor"] })).await;
    assert_eq!(next.data()["searchProducts"]["edges"][0]["node"]["sku"], "green-tea");
    assert_eq!(next.data()["searchProducts"]["pageInfo"]["hasNextPage"], false);
    // Another sort's cursor, and orders for those who may.
    let other = "query($after: String) { searchProducts(after: $after) { totalCount } }";
    assert_eq!(app.graphql(None, other, json!({ "after": rest["next_cursor"] })).await.faults(), ["after"]);
    let orders = "{ searchOrders { totalCount } }";
    assert_eq!(app.graphql(None, orders, json!({})).await.code(), "TOKEN_MISSING");
    assert_eq!(app.graphql(Some(&app.customer()), orders, json!({})).await.code(), "OPERATOR_REQUIRED");
    assert_eq!(app.graphql(Some(&app.operator()), orders, json!({})).await.code(), "UNAVAILABLE");
}
