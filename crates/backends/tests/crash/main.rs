//! Processes that die, on the embedded store and bus, and on PostgreSQL with each broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod matrix;
mod place;
mod store;
mod traps;
mod worker;

/// The process that is killed; does nothing when it runs as a test of the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    worker::child().await;
}
