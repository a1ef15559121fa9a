//! The contract suites, each case under names of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::suite::{Breakable, Broker, Difference};
use messaging::{Bus, Track};
use testkit::servers::Nats;

const DIFFERENCES: &[Difference] = &[Difference::ReadAheadCounts, Difference::MarksAreApart];

/// Names of their own on the server; each opening has a connection of its own, as another process has.
struct Prefix(String);

async fn open(url: &str, lease: Duration, track: Track) -> Arc<dyn Bus> {
    Arc::new(nats::Bus::open(url, false, clock::system()).await.unwrap().with_lease(lease).on_track(track))
}

#[async_trait]
impl Broker for Prefix {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        open(&self.0, lease, track).await
    }

    fn differences(&self) -> &'static [Difference] {
        DIFFERENCES
    }
}

/// A server of one test's own.
struct Alone(Nats, String);

#[async_trait]
impl Broker for Alone {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        open(&self.1, lease, track).await
    }

    fn differences(&self) -> &'static [Difference] {
        DIFFERENCES
    }
}

#[async_trait]
impl Breakable for Alone {
    async fn kill_and_restart(&self) {
        self.0.kill_and_restart().await;
    }

    fn pause(&self) {
        self.0.pause();
    }

    fn resume(&self) {
        self.0.resume();
    }
}

mod bus {
    testkit::suite! { messaging::bus_suite, &match testkit::servers::Nats::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod consumer {
    testkit::suite! { messaging::consumer_suite, &match testkit::servers::Nats::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod death {
    testkit::suite! { messaging::death_suite, &match testkit::servers::Nats::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod faults {
    testkit::suite! { messaging::faults_suite, &match testkit::servers::Nats::alone().await {
        Some(server) => {
            let url = server.fresh();
            super::Alone(server, url)
        }
        None => return,
    } }
}

mod tail {
    testkit::suite! { messaging::tail_suite, &match testkit::servers::Nats::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}
