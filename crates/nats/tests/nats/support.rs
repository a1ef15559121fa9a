//! What several tests need: a group at work, and the server's own API.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, stream::Stream};
pub(crate) use messaging::suite::applying::{Inbox, Member, insist, settled};
use messaging::{Bus, Event};

pub(crate) const KIND: &str = "thing.happened.v1";

pub(crate) fn event(key: impl ToString, number: u64) -> Event {
    Event::new(KIND, "test", key, clock::system().now(), number).unwrap()
}

pub(crate) async fn open(url: &str) -> Arc<dyn Bus> {
    Arc::new(nats::Bus::open(url, false, clock::system()).await.unwrap().with_lease(Duration::from_secs(1)))
}

/// The name of the stream of events, or of dead letters.
pub(crate) fn stream_name(url: &str, which: &str) -> String {
    let prefix = url.split("prefix=").nth(1).unwrap().split('&').next().unwrap();
    format!("{prefix}-{which}")
}

/// JetStream as an operator sees it.
pub(crate) async fn operator(url: &str) -> jetstream::Context {
    let servers: Vec<String> = url.split('?').next().unwrap().split(',').map(str::to_owned).collect();
    jetstream::new(async_nats::connect(servers).await.unwrap())
}

pub(crate) async fn events(url: &str) -> Stream {
    operator(url).await.get_stream(stream_name(url, "events")).await.unwrap()
}
