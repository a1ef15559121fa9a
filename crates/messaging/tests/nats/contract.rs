//! The contract suites, each case under names of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::nats::NatsBus;
use messaging::suite::Broker;
use messaging::{Bus, Track};

/// Names of their own on the server; each opening has a connection of its own, as another process has.
struct Prefix(String);

#[async_trait]
impl Broker for Prefix {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        Arc::new(NatsBus::open(&self.0, clock::system()).await.unwrap().with_lease(lease).on_track(track))
    }
}

messaging::bus_suite!(match testkit::servers::Nats::shared().await {
    Some(server) => Prefix(server.fresh()),
    None => return,
});

messaging::consumer_suite!(match testkit::servers::Nats::shared().await {
    Some(server) => Prefix(server.fresh()),
    None => return,
});
