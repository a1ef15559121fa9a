//! Connections, who waits for one, and who waited in vain.

use std::time::Duration;

use sqlite::Pool;
use sqlx::sqlite::SqlitePoolOptions;

use crate::{begin, value};

/// What is measured of the pool of that name: the most connections, idle and used ones, who waits, who waited in vain.
fn pool(name: &str) -> [Option<f64>; 5] {
    let of = |metric: &str, state: Option<&str>| {
        let state = state.map(|state| ("db_client_connection_state", state));
        let labels: Vec<_> = [("db_client_connection_pool_name", name)].into_iter().chain(state).collect();
        value(&format!("db_client_connection_{metric}"), &labels)
    };
    [
        of("max", None),
        of("count", Some("idle")),
        of("count", Some("used")),
        of("pending_requests", None),
        of("timeouts_total", None),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_says_who_waits_for_it_and_who_waited_in_vain() {
    begin();
    let options = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(200));
    let one = Pool::new(options.connect("sqlite::memory:").await.unwrap(), "one".to_owned());
    let held = one.acquire().await.unwrap();
    assert_eq!(pool("one"), [1.0, 0.0, 1.0, 0.0, 0.0].map(Some));
    let (statement, begun, immediate, meanwhile) =
        tokio::join!(one.acquire(), one.begin(), one.begin_with("BEGIN IMMEDIATE"), async { pool("one") });
    assert_eq!(meanwhile, [1.0, 0.0, 1.0, 3.0, 0.0].map(Some));
    assert!(statement.is_err() && begun.is_err() && immediate.is_err());
    assert_eq!(pool("one"), [1.0, 0.0, 1.0, 0.0, 3.0].map(Some));
    drop(held);
    one.begin().await.unwrap().commit().await.unwrap();
    testkit::eventually!(pool("one") == [1.0, 1.0, 0.0, 0.0, 3.0].map(Some));
}
