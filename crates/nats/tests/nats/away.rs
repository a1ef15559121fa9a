//! What a bus says of a server that lets nobody in, or is not there.

use std::{error::Error, iter, time::Duration};

use testkit::{eventually, servers::Nats};
use tokio::time::timeout;

use super::support::{event, open};

/// An error and its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_connection_is_told_why() {
    let Some(server) = Nats::with_settings("jetstream: {}\nauthorization: { user: u, password: p }").await else {
        return;
    };
    let host = server.url().trim_start_matches("nats://");
    let nobody = format!("nats://127.0.0.1:{}", testkit::free_port());
    // Of a connection that fails the client says no more.
    for (url, why) in [(format!("nats://u:wrong@{host}"), "authorization"), (nobody, "io error")] {
        let bus = open(&url).await;
        let failed = chain(&bus.publish(&[event("a", 1)]).await.unwrap_err()).to_lowercase();
        assert!(failed.contains(why) && !failed.contains("wrong"), "{failed}");
        let told = async || timeout(Duration::from_secs(1), bus.ping()).await.map(|answer| answer.unwrap_err());
        eventually!(told().await.is_ok_and(|error| chain(&error).to_lowercase().contains(why)));
    }
}
