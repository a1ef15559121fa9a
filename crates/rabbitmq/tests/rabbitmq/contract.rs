//! The contract suites, each case under names of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messaging::suite::{Broker, Difference};
use messaging::{Bus, Track};

/// Names of their own on the server; each opening has connections of its own, as another process has.
struct Prefix(String);

#[async_trait]
impl Broker for Prefix {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        Arc::new(rabbitmq::Bus::open(&self.0, clock::system()).unwrap().with_lease(lease).on_track(track))
    }

    fn differences(&self) -> &'static [Difference] {
        &[Difference::ReadAheadCounts, Difference::MarksAreApart, Difference::BrokerAssigns]
    }
}

mod bus {
    testkit::suite! { messaging::bus_suite, &match testkit::servers::RabbitMq::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod consumer {
    testkit::suite! { messaging::consumer_suite, &match testkit::servers::RabbitMq::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod death {
    testkit::suite! { messaging::death_suite, &match testkit::servers::RabbitMq::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}

mod tail {
    testkit::suite! { messaging::tail_suite, &match testkit::servers::RabbitMq::shared().await {
        Some(server) => super::Prefix(server.fresh()),
        None => return,
    } }
}
