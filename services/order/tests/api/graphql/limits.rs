//! Hostile documents are refused before anything is done for them.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::hostile;
use crate::app::TestApp;

/// What this thread has worked so far, where the system says so, or else the time. The service works on it, too.
fn worked() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let worked = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    worked.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

/// What it costs is measured in the release build by `make bench-graphql`; here it is ten to fifty times as much.
#[tokio::test]
async fn a_hundred_hostile_requests_are_refused_for_little() {
    let app = TestApp::start().await;
    let ada = app.customer();
    app.graphql(Some(&ada), "{ products { edges { cursor } } }", json!({})).await.data();
    let requests = hostile::requests();
    assert!(requests.len() >= 100, "{}", requests.len());
    let mut costs = Vec::new();
    for (what, body) in &requests {
        let begin = worked();
        let response = app.send(Some(&ada), body).await;
        costs.push((worked().saturating_sub(begin), what));
        let answers = response.body.as_array().map_or(std::slice::from_ref(&response.body), Vec::as_slice);
        let refused = |answer: &Value| answer["errors"].is_array() && answer["data"].as_object().is_none();
        assert!(response.status.is_client_error() || answers.iter().all(refused), "{what}: {}", response.body);
        assert!(!response.status.is_server_error() && response.bytes.len() < 32 * 1024, "{what}: {}", response.body);
    }
    costs.sort();
    println!("the dearest of {}: {:?}", costs.len(), &costs[costs.len() - 5..]);
    assert!(costs[costs.len() - 1].0 < Duration::from_millis(250), "{:?}", &costs[costs.len() - 5..]);
    assert!(app.customers.take_calls().is_empty());
}

#[tokio::test]
async fn what_costs_too_much_is_not_executed() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    app.confirmed(&ada, &mug).await;
    let deep = |levels: usize| format!("{{ a {}{} }}", "{ a ".repeat(levels), "}".repeat(levels));
    let hostile = [
        deep(20),
        deep(5_000),
        format!("{{ {} }}", "a: me { id } ".repeat(31)),
        format!("{{ me {{ {} }} }}", "id ".repeat(501)),
        format!("{{ me {{ id {} }} }}", "@skip(if: false) ".repeat(31)),
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
        "{ orders(first: 100) { edges { node { items { name quantity productId unitPrice { amount currency } } customer { id email name status } \
         total { amount currency } payment { id status } id userId status reason version createdAt updatedAt customer2: customer { id name } \
         more: items { name quantity productId unitPrice { amount currency } } } } } }"
            .to_owned(),
        format!("# {}\n{{ me {{ id }} }}", "x".repeat(16 * 1024)),
    ];
    for document in hostile {
        let answer = app.graphql(Some(&ada), &document, json!({})).await;
        assert!(["DOCUMENT_TOO_COMPLEX", "INVALID_DOCUMENT"].contains(&answer.code()), "{document}: {}", answer.0);
        assert_eq!(answer.0["data"], Value::Null, "{document}");
    }
    assert!(app.customers.take_calls().is_empty());
}

#[tokio::test]
async fn a_page_of_all_that_is_known_is_affordable() {
    let app = TestApp::start().await;
    let (ada, mug) = (app.customer(), app.product("mug", 100, 9).await);
    app.confirmed(&ada, &mug).await;
    let document = "{ orders(first: 100) { edges { cursor node {
        id userId status reason items { name quantity productId unitPrice { amount currency } } total { amount currency }
        payment { id status } customer { id email name status ordersPlaced } version createdAt updatedAt
    } } pageInfo { hasNextPage endCursor } } }";
    assert_eq!(
        app.graphql(Some(&ada), document, json!({})).await.data()["orders"]["edges"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_few_operations_may_come_together() {
    let app = TestApp::start().await;
    let one = json!({ "query": "{ products { edges { cursor } } }" });
    let response = app.send(None, &json!(vec![one.clone(); 5])).await;
    assert_eq!((response.status.as_u16(), response.body.as_array().unwrap().len()), (200, 5));
    let refused = app.send(None, &json!(vec![one; 6])).await;
    assert_eq!(refused.problem(400).body["type"], "/problems/document-too-complex");
}
