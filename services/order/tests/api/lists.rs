//! Lists: pages, cursors, filters, and whose orders are seen.

use std::{collections::HashSet, time::Duration};

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::app::{Person, RequestExt as _, TestApp};

/// Follows the cursors and returns the ids of all items; `between` runs between two pages.
async fn all(app: &TestApp, path: &str, person: Option<&Person>, between: impl AsyncFn(usize)) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = app.get(&format!("{path}{cursor}"));
        let response = match person {
            Some(person) => request.by(person).send().await,
            None => request.send().await,
        };
        assert_eq!(response.status, StatusCode::OK, "{response:?}");
        let items = response.body["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match &response.body["next_cursor"] {
            Value::Null => return ids,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
        between(ids.len()).await;
    }
}

#[tokio::test]
async fn products_come_by_sku_without_gap_or_double() {
    let app = TestApp::start().await;
    let mut wanted = Vec::new();
    for n in 0..7 {
        wanted.push(app.product(&format!("p{n}0"), 100, 1).await);
    }
    let add = async |seen| drop(app.product(&format!("p{}5", seen - 2), 100, 1).await);
    let seen = all(&app, "/v1/products?limit=2", None, add).await;
    assert_eq!(seen.len(), seen.iter().collect::<HashSet<_>>().len());
    let old: Vec<_> = seen.into_iter().filter(|id| wanted.contains(id)).collect();
    assert_eq!(old, wanted);
}

#[tokio::test]
async fn a_page_that_is_just_full_has_no_next() {
    let app = TestApp::start().await;
    for sku in ["a", "b"] {
        app.product(sku, 100, 1).await;
    }
    let response = app.get("/v1/products?limit=2").send().await;
    assert_eq!(response.body["items"].as_array().unwrap().len(), 2);
    assert_eq!(response.body["next_cursor"], Value::Null);
    assert_eq!(app.get("/v1/products?query=nothing").send().await.body["items"], serde_json::json!([]));
}

/// What cannot be read is left out, and the pages are as full as without it.
#[tokio::test]
async fn an_order_that_cannot_be_read_is_left_out() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 9).await);
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(app.confirmed(&customer, &mug).await);
        app.clock.advance(Duration::from_secs(1));
    }
    for spoiled in [0, 2, 3] {
        app.spoil(&orders[spoiled]).await;
    }
    let wanted = [5, 4, 1].map(|n: usize| orders[n].clone());
    for limit in 1..4 {
        let path = format!("/v1/orders?limit={limit}");
        assert_eq!(all(&app, &path, Some(&customer), async |_| ()).await, wanted, "{limit}");
    }
}

#[tokio::test]
async fn a_product_that_cannot_be_read_is_left_out() {
    let app = TestApp::start().await;
    let mut products = Vec::new();
    for n in 0..6 {
        products.push(app.product(&format!("p{n}"), 100, 1).await);
    }
    for spoiled in [0, 2, 3] {
        app.spoil(&products[spoiled]).await;
    }
    let wanted = [1, 4, 5].map(|n: usize| products[n].clone());
    for limit in 1..4 {
        assert_eq!(all(&app, &format!("/v1/products?limit={limit}"), None, async |_| ()).await, wanted, "{limit}");
    }
}

#[tokio::test]
async fn products_are_found_by_words() {
    let app = TestApp::start().await;
    let (mug, _) = (app.product("MUG-1", 100, 1).await, app.product("POT-1", 100, 1).await);
    for query in ["mug", "MUG-1", "mu+prod", "%20product%20MUG", "1+mug+%26"] {
        let ids = all(&app, &format!("/v1/products?query={query}"), None, async |_| {}).await;
        assert_eq!(ids, [mug.as_str()], "{query}");
    }
    assert_eq!(all(&app, "/v1/products?query=", None, async |_| {}).await.len(), 2);
    assert_eq!(all(&app, "/v1/products?query=1", None, async |_| {}).await.len(), 2);
    for query in ["%26", "ug", "mug+OR+pot", "*", "%22", "sku:mug"] {
        assert!(all(&app, &format!("/v1/products?query={query}"), None, async |_| {}).await.is_empty(), "{query}");
    }
    let long = "x".repeat(201);
    let response = app.get(&format!("/v1/products?query={long}")).send().await;
    assert_eq!(response.problem(400).faults(), ["query"]);
}

#[tokio::test]
async fn orders_come_newest_first_without_gap_or_double() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let mut wanted = Vec::new();
    for n in 0..7 {
        if n % 2 == 0 {
            app.clock.advance(Duration::from_secs(1));
        }
        wanted.push(app.confirmed(&customer, &mug).await);
    }
    app.clock.advance(Duration::from_secs(1));
    let add = async |_| drop(app.confirmed(&customer, &mug).await);
    let seen = all(&app, "/v1/orders?limit=2", Some(&customer), add).await;
    assert_eq!(seen.len(), 7);
    assert_eq!(seen[0], wanted[6], "newest first");
    assert_eq!(seen.iter().collect::<HashSet<_>>(), wanted.iter().collect());
}

#[tokio::test]
async fn everybody_sees_their_own_and_operators_all() {
    let app = TestApp::start().await;
    let (ada, bob, operator) = (app.customer(), app.customer(), app.operator());
    let mug = app.product("mug", 100, 99).await;
    let (of_ada, of_bob) = (app.confirmed(&ada, &mug).await, app.confirmed(&bob, &mug).await);
    let list = async |person: &Person, query: &str| {
        let mut ids = all(&app, &format!("/v1/orders?limit=9{query}"), Some(person), async |_| {}).await;
        ids.sort();
        ids
    };
    let mut both = vec![of_ada.clone(), of_bob.clone()];
    both.sort();
    assert_eq!(list(&ada, "").await, [of_ada.as_str()]);
    assert_eq!(list(&operator, "").await, [""; 0]);
    assert_eq!(list(&operator, "&user_id=all").await, both);
    assert_eq!(list(&operator, &format!("&user_id={}", bob.id)).await, [of_bob.as_str()]);
    app.get("/v1/orders?user_id=all").by(&ada).send().await.problem(403);
    app.get(&format!("/v1/orders?user_id={}", bob.id)).by(&ada).send().await.problem(403);
    app.get(&format!("/v1/orders?user_id=urn:uuid:{}", bob.id)).by(&operator).send().await.problem(400);
    let response = app.get("/v1/orders?user_id=bob").by(&operator).send().await;
    assert_eq!(response.problem(400).faults(), ["user_id"]);
    // One by one.
    let path = format!("/v1/orders/{of_bob}");
    let foreign = app.get(&path).by(&ada).send().await;
    let unknown = app.get(&format!("/v1/orders/{}", Uuid::new_v4())).by(&ada).send().await;
    foreign.problem(404);
    unknown.problem(404);
    assert_eq!(foreign.body["detail"], unknown.body["detail"]);
    assert_eq!(app.get(&path).by(&operator).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_queries_are_refused_by_name() {
    let app = TestApp::start().await;
    let operator = app.operator();
    for list in ["/v1/products", "/v1/orders"] {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=1", "limit"),
            ("cursor=", "cursor"),
            ("cursor=nonsense", "cursor"),
            ("cursor=MTIzNA", "cursor"),
            ("page=1", "page"),
            ("cursor=%ff", "cursor"),
        ] {
            let response = app.get(&format!("{list}?{query}")).by(&operator).send().await;
            assert_eq!(response.problem(400).faults(), [name], "{list} {query}");
        }
    }
    // One list's cursor is not another's.
    app.product("a-b", 1, 1).await;
    app.product("a-c", 1, 1).await;
    let cursor = app.get("/v1/products?limit=1").send().await.text("next_cursor").to_owned();
    let response = app.get(&format!("/v1/orders?cursor={cursor}")).by(&operator).send().await;
    assert_eq!(response.problem(400).faults(), ["cursor"]);
    let (customer, mug) = (app.customer(), app.product("mug", 1, 9).await);
    app.confirmed(&customer, &mug).await;
    app.confirmed(&customer, &mug).await;
    let cursor = app.get("/v1/orders?limit=1").by(&customer).send().await.text("next_cursor").to_owned();
    assert_eq!(app.get(&format!("/v1/products?cursor={cursor}")).send().await.problem(400).faults(), ["cursor"]);
}

#[tokio::test]
async fn an_order_is_not_sent_twice() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 100, 99).await);
    let path = format!("/v1/orders/{}", app.confirmed(&customer, &mug).await);
    let response = app.get(&path).by(&customer).send().await;
    let etag = response.etag().to_owned();
    for value in [etag.clone(), format!("\"0\", {etag}"), "*".to_owned(), format!("W/{etag}")] {
        let again = app.get(&path).by(&customer).header("if-none-match", &value).send().await;
        assert_eq!((again.status, again.body.clone()), (StatusCode::NOT_MODIFIED, Value::Null), "{value}");
        assert_eq!(again.etag(), etag);
    }
    let newer = app.get(&path).by(&customer).header("if-none-match", "\"0\"").send().await;
    assert_eq!((newer.status, newer.body), (StatusCode::OK, response.body));
    let bad = app.get(&path).by(&customer).header("if-none-match", "nonsense").send().await;
    assert_eq!(bad.problem(400).faults(), ["If-None-Match"]);
    // Existence comes before the header, and identity before both.
    let unknown = format!("/v1/orders/{}", Uuid::new_v4());
    app.get(&unknown).by(&customer).header("if-none-match", "nonsense").send().await.problem(404);
    app.get(&unknown).header("if-none-match", "nonsense").send().await.problem(401);
}
