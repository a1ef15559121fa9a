//! The contract suites, each case under names of its own.

use std::sync::Arc;

use messaging::{Bus, suite::At};
use testkit::servers::Kafka;

/// Names of their own on a server.
fn at<S>(url: String, server: S) -> At<S> {
    At {
        url,
        opens: |url, lease, track| {
            Box::pin(async move {
                Arc::new(kafka::Bus::open(url, false, clock::system()).unwrap().with_lease(lease).on_track(track))
                    as Arc<dyn Bus>
            })
        },
        differences: kafka::DIFFERENCES,
        server,
    }
}

mod bus {
    testkit::suite! { messaging::bus_suite, &match super::Kafka::shared().await {
        Some(server) => super::at(server.fresh(), ()),
        None => return,
    } }
}

mod consumer {
    testkit::suite! { messaging::consumer_suite, &match super::Kafka::shared().await {
        Some(server) => super::at(server.fresh(), ()),
        None => return,
    } }
}

mod death {
    testkit::suite! { messaging::death_suite, &match super::Kafka::shared().await {
        Some(server) => super::at(server.fresh(), ()),
        None => return,
    } }
}

mod faults {
    testkit::suite! { messaging::faults_suite, &match super::Kafka::behind_a_proxy().await {
        Some(server) => super::at(server.fresh(), server),
        None => return,
    } }
}

mod tail {
    testkit::suite! { messaging::tail_suite, &match super::Kafka::shared().await {
        Some(server) => super::at(server.fresh(), ()),
        None => return,
    } }
}
