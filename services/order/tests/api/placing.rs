//! `POST /v1/orders`.

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use testkit::http::TestResponse;
use uuid::Uuid;

use crate::app::{RequestExt as _, TestApp};

#[tokio::test]
async fn an_order_is_confirmed_when_payment_says_so() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let response = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(response.header("location"), format!("/v1/orders/{}", response.id()));
    assert_eq!(response.etag(), format!("\"{}\"", response.body["version"]));
    let payment = response.body["payment"].clone();
    assert_eq!(payment.as_object().unwrap().len(), 2);
    assert_eq!(payment["status"], "authorized");
    assert!(Uuid::try_parse(payment["id"].as_str().unwrap()).is_ok());
    assert_eq!(
        response.body,
        json!({
            "id": response.id(),
            "user_id": customer.id.to_string(),
            "status": "confirmed",
            "items": [{
                "product_id": mug, "name": "Product mug", "quantity": 2,
                "unit_price": { "amount": 1450, "currency": "EUR" },
            }],
            "total": { "amount": 2900, "currency": "EUR" },
            "payment": payment,
            "version": 2,
            "created_at": response.body["created_at"],
            "updated_at": response.body["updated_at"],
        })
    );
    for time in ["created_at", "updated_at"] {
        assert_eq!(response.text(time), clock::rfc3339(clock::Clock::now(&app.clock)), "{time}");
    }
    assert_eq!(app.available(&mug).await, 3);
    assert_eq!(app.events().await, ["order.placed.v1", "order.confirmed.v1"]);
    let read = app.get(response.header("location")).by(&customer).send().await;
    assert_eq!((read.status, read.body), (StatusCode::OK, response.body));
}

#[tokio::test]
async fn a_declined_order_is_rejected_and_gives_its_stock_back() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    for (token, reason) in [("tok_declined", "payment_declined"), ("tok_insufficient_funds", "insufficient_funds")] {
        let response = app.order_by(&customer, token, &mug, 2, token).send().await;
        assert_eq!((response.status, response.text("status")), (StatusCode::CREATED, "rejected"));
        assert_eq!(response.text("reason"), reason);
        assert_eq!(response.body["payment"]["status"], "declined");
        assert_eq!(app.available(&mug).await, 5);
    }
    assert_eq!(app.events().await[..2], ["order.placed.v1", "order.rejected.v1"]);
}

#[tokio::test]
async fn an_order_stays_pending_when_payment_does_not_answer() {
    let app = TestApp::with_short_wait().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.hold("authorize");
    let response = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "pending"));
    assert_eq!(response.header("location"), format!("/v1/orders/{}", response.id()));
    assert!(response.body.get("payment").is_none() && response.body.get("reason").is_none());
    assert_eq!(app.available(&mug).await, 3);
    let again = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!((again.status, again.text("status")), (StatusCode::OK, "pending"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    app.payments.resume("authorize");
    let again = testkit::eventually!({
        let again = app.order(&customer, "k", &mug, 2).send().await;
        (again.text("status") == "confirmed").then_some(again)
    });
    assert_eq!(again.status, StatusCode::OK);
}

#[tokio::test]
async fn payment_that_is_down_makes_it_pending_soon() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.fail("check_token", usize::MAX);
    app.payments.fail("authorize", usize::MAX);
    // A request that takes its own limit, 10 s, is answered by 504.
    let response = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!((response.status, response.text("status")), (StatusCode::ACCEPTED, "pending"));
}

#[tokio::test]
async fn payment_that_does_not_know_yet_is_asked_again_within_the_request() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.fail("authorize", 2);
    let response = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!((response.status, response.text("status")), (StatusCode::CREATED, "confirmed"));
    assert_eq!(app.payments.calls("authorize"), 3);
}

#[tokio::test]
async fn the_same_key_is_the_same_order() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let first = app.order(&customer, "k", &mug, 2).send().await;
    let reordered =
        format!(r#"  {{ "payment_token":"tok_ok",  "items":[ {{"quantity": 2, "product_id":"{mug}"}} ] }} "#);
    let again = app.post("/v1/orders").by(&customer).key("k").raw_json(reordered).send().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!(again.body, first.body);
    assert_eq!(again.etag(), first.etag());
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(app.available(&mug).await, 3);
    assert_eq!(app.payments.calls("authorize"), 1);
    // Another body, and another user.
    let reused = app.order(&customer, "k", &mug, 1).send().await;
    assert_eq!(reused.problem(422).name(), "idempotency-key-reused");
    app.order_by(&customer, "k", &mug, 2, "tok_other").send().await.problem(422);
    let other = app.order(&app.customer(), "k", &mug, 1).send().await;
    assert_eq!(other.status, StatusCode::CREATED);
    assert_ne!(other.id(), first.id());
    assert_eq!(app.available(&mug).await, 2);
}

#[tokio::test]
async fn the_order_of_lines_is_part_of_the_body() {
    let app = TestApp::start().await;
    let (customer, a, b) = (app.customer(), app.product("a", 100, 5).await, app.product("b", 200, 5).await);
    let place = async |first: &str, second: &str| {
        let line = |id: &str| json!({ "product_id": id, "quantity": 1 });
        let body = json!({ "items": [line(first), line(second)], "payment_token": "tok_ok" });
        app.post("/v1/orders").by(&customer).key("k").json(&body).send().await
    };
    let response = place(&a, &b).await;
    assert_eq!((response.status, response.body["total"]["amount"].as_i64()), (StatusCode::CREATED, Some(300)));
    place(&b, &a).await.problem(422);
}

#[tokio::test]
async fn duplicates_at_once_are_one_order() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 50).await);
    let responses = join_all((0..12).map(|_| app.order(&customer, "k", &mug, 2).send())).await;
    let count = |status| responses.iter().filter(|response| response.status == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::OK)), (1, 11), "{responses:?}");
    let id = responses[0].id();
    assert!(Uuid::try_parse(&id).is_ok(), "{id}");
    for response in &responses {
        assert_eq!((response.text("status"), response.id()), ("confirmed", id.clone()));
    }
    assert_eq!(app.available(&mug).await, 48);
    let events = app.events().await;
    assert_eq!(events, ["order.placed.v1", "order.confirmed.v1"]);
}

#[tokio::test]
async fn too_little_stock_is_a_conflict_by_line() {
    let app = TestApp::start().await;
    let customer = app.customer();
    let mut lines = Vec::new();
    for (sku, stock) in [("a", 1), ("b", 9), ("c", 0)] {
        lines.push(json!({ "product_id": app.product(sku, 100, stock).await, "quantity": 2 }));
    }
    let body = json!({ "items": lines, "payment_token": "tok_ok" });
    let response = app.post("/v1/orders").by(&customer).key("k").json(&body).send().await;
    assert_eq!(response.problem(409).name(), "insufficient-stock");
    assert_eq!(response.faults(), ["/items/0/quantity", "/items/2/quantity"]);
    assert!(app.events().await.is_empty());
    let b = body["items"][1]["product_id"].as_str().unwrap();
    assert_eq!(app.available(b).await, 9);
    // Nothing is stored: the key can be used again.
    assert_eq!(app.order(&customer, "k", b, 1).send().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_basket_must_fit_the_catalogue() {
    let app = TestApp::start().await;
    let customer = app.customer();
    let (euros, dollars) = (app.product("a", 100, 9).await, app.product_in("b", 100, "USD", 9).await);
    let nobody = Uuid::new_v4().to_string();
    let place = async |ids: &[&str]| -> TestResponse {
        let lines: Vec<_> = ids.iter().map(|id| json!({ "product_id": id, "quantity": 1 })).collect();
        let body = json!({ "items": lines, "payment_token": "tok_ok" });
        app.post("/v1/orders").by(&customer).key("k").json(&body).send().await
    };
    let refused = [(&nobody, "unknown-product"), (&euros, "duplicate-product"), (&dollars, "mixed-currencies")];
    for (second, name) in refused {
        let response = place(&[&euros, second]).await;
        assert_eq!((response.problem(422).name(), response.faults()), (name, vec!["/items/1/product_id"]));
    }
    let response = place(&[&nobody, &euros, &dollars]).await;
    assert_eq!((response.problem(422).name(), response.faults().len()), ("unknown-product", 2), "the first one's name");
    assert_eq!(app.available(&euros).await, 9);
}

#[tokio::test]
async fn an_unknown_payment_token_is_refused_and_a_known_one_remembered() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    for _ in 0..2 {
        let response = app.order_by(&customer, "k", &mug, 1, "bogus").send().await;
        assert_eq!(
            (response.problem(422).name(), response.faults()),
            ("unknown-payment-token", vec!["/payment_token"])
        );
    }
    assert_eq!((app.available(&mug).await, app.payments.calls("check_token")), (5, 2));
    for key in ["k", "l", "m"] {
        assert_eq!(app.order(&customer, key, &mug, 1).send().await.status, StatusCode::CREATED);
    }
    assert_eq!(app.payments.calls("check_token"), 3);
}

#[tokio::test]
async fn a_token_that_nobody_could_check_is_found_out_later() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    app.payments.fail("check_token", 1);
    let response = app.order_by(&customer, "k", &mug, 1, "bogus").send().await;
    assert_eq!((response.text("status"), response.text("reason")), ("rejected", "payment_declined"));
    assert!(response.body.get("payment").is_none());
    assert_eq!(app.available(&mug).await, 5);
}

#[tokio::test]
async fn orders_keep_their_price() {
    let app = TestApp::start().await;
    let (customer, operator, mug) = (app.customer(), app.operator(), app.product("mug", 1450, 5).await);
    let id = app.confirmed(&customer, &mug).await;
    let change = json!({ "name": "New", "price": { "amount": 9900, "currency": "EUR" } });
    let path = format!("/v1/products/{mug}");
    let response =
        app.request(http::Method::PATCH, &path).by(&operator).header("if-match", "*").json(&change).send().await;
    assert_eq!(response.status, StatusCode::OK);
    let old = app.get(&format!("/v1/orders/{id}")).by(&customer).send().await;
    assert_eq!(old.body["items"][0]["unit_price"]["amount"], 1450);
    assert_eq!(old.body["items"][0]["name"], "Product mug");
    let new = app.order(&customer, "k", &mug, 2).send().await;
    assert_eq!(new.body["total"]["amount"], 19_800);
}

#[tokio::test]
async fn many_customers_do_not_sell_more_than_there_is() {
    let app = TestApp::start().await;
    let mug = app.product("mug", 1450, 20).await;
    let place = async |n: usize| {
        let token = if n.is_multiple_of(4) { "tok_declined" } else { "tok_ok" };
        app.order_by(&app.customer(), "k", &mug, 2, token).send().await
    };
    let responses = join_all((0..32).map(place)).await;
    assert!(responses.iter().all(|response| matches!(response.status.as_u16(), 201 | 409)), "{responses:?}");
    let sold = responses.iter().filter(|response| response.body["status"] == "confirmed").count();
    // The eight that are declined hold 16 pieces at most, and only for a while.
    assert!((2..=10).contains(&sold), "{sold}");
    assert_eq!(app.available(&mug).await, 20 - 2 * i64::try_from(sold).unwrap());
    let audit = app.get("/internal/v1/audit").by_service("trireme").send().await;
    assert_eq!(audit.body["stock"]["violations"], json!([]));
    assert_eq!(audit.body["unsettled"], 0);
}

#[tokio::test]
async fn trace_and_canary_reach_payment() {
    let app = TestApp::start().await;
    let (customer, mug) = (app.customer(), app.product("mug", 1450, 5).await);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app.order(&customer, "k", &mug, 1);
    let request = request.header("x-canary", "true").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(request.send().await.status, StatusCode::CREATED);
    let metadata = app.payments.metadata("authorize").unwrap();
    assert_eq!(metadata.get("x-canary").unwrap(), "true");
    assert!(metadata.get("traceparent").unwrap().to_str().unwrap().contains(trace));
    assert!(metadata.get("x-service-credential").unwrap().to_str().unwrap().starts_with("order."));
    assert!(metadata.contains_key("grpc-timeout"));
}
