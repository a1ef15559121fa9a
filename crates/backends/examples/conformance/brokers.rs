//! The four brokers: how each is opened, and what is said of it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use messaging::{
    Bus, Difference, Track,
    suite::{At, Breakable, Broker as Suite, Opens},
};
use servers::{Installed, Server};
use testkit::servers::{Kafka, Nats, RabbitMq};

use super::place::Place;

/// Starts a server of a case's own.
type Alone = fn() -> BoxFuture<'static, Box<dyn Breakable>>;

/// One broker.
pub(crate) struct Broker {
    pub(crate) name: &'static str,
    /// What its URLs begin with.
    pub(crate) slug: &'static str,
    pub(crate) version: fn() -> String,
    /// Names of a case's own.
    pub(crate) shared: fn() -> BoxFuture<'static, Box<dyn Suite>>,
    /// A server of a case's own.
    pub(crate) alone: Option<Alone>,
    /// Where processes meet that are killed.
    pub(crate) place: fn() -> BoxFuture<'static, Place>,
    /// The rows of the table of what differs: with a canary, deliveries, repetitions.
    pub(crate) said: [&'static str; 3],
}

/// The four, the embedded one first.
pub(crate) fn all() -> [Broker; 4] {
    [embedded(), on_nats(), on_kafka(), on_rabbitmq()]
}

/// A file of a case's own.
struct File(testkit::TempDir);

#[async_trait]
impl Suite for File {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        let url = testkit::sqlite_url(&self.0, "bus.db");
        Arc::new(sqlite::Bus::open(&url, clock::system()).await.unwrap().with_lease(lease).on_track(track))
    }

    fn differs(&self, difference: Difference) -> bool {
        sqlite::DIFFERENCES.contains(&difference)
    }
}

fn embedded() -> Broker {
    Broker {
        name: "embedded (SQLite)",
        slug: "sqlite",
        version: || "bundled".to_owned(),
        shared: || Box::pin(async { Box::new(File(testkit::temp_dir())) as Box<dyn Suite> }),
        alone: None,
        place: || Box::pin(async { Place::embedded() }),
        said: [
            "a key's marked and unmarked events are in one order",
            "none: each delivery is counted in the file, and who dies is known",
            "as long as the event is kept: 8 days",
        ],
    }
}

fn version(server: Server) -> String {
    Installed::find(server).and_then(|installed| installed.version()).expect("`make servers` installs it")
}

fn at<S>(url: String, server: S, opens: Opens, differences: &'static [Difference]) -> At<S> {
    At { url, opens, differences, server }
}

/// What is the same for every server.
macro_rules! broker {
    ($name:literal, $slug:literal, $server:ident, $adapter:ident, $place:ident, $open:expr, $said:expr) => {
        Broker {
            name: $name,
            slug: $slug,
            version: || version(Server::$server),
            shared: || {
                Box::pin(async {
                    let server = $server::shared().await.expect("it is installed");
                    Box::new(at(server.fresh(), (), $open, $adapter::DIFFERENCES)) as Box<dyn Suite>
                })
            },
            alone: Some(|| {
                Box::pin(async {
                    let server = $server::behind_a_proxy().await.expect("it is installed");
                    Box::new(at(server.fresh(), server, $open, $adapter::DIFFERENCES)) as Box<dyn Breakable>
                })
            }),
            place: || Box::pin(async { Place::$place().await.expect("it is installed, and PostgreSQL") }),
            said: $said,
        }
    };
}

fn open_nats(url: &str, lease: Duration, track: Track) -> BoxFuture<'_, Arc<dyn Bus>> {
    Box::pin(async move {
        let bus = nats::Bus::open(url, false, clock::system()).await.unwrap();
        Arc::new(bus.with_lease(lease).on_track(track)) as Arc<dyn Bus>
    })
}

fn open_kafka(url: &str, lease: Duration, track: Track) -> BoxFuture<'_, Arc<dyn Bus>> {
    Box::pin(async move {
        let bus = kafka::Bus::open(url, false, clock::system()).unwrap();
        Arc::new(bus.with_lease(lease).on_track(track)) as Arc<dyn Bus>
    })
}

fn open_rabbitmq(url: &str, lease: Duration, track: Track) -> BoxFuture<'_, Arc<dyn Bus>> {
    Box::pin(async move {
        let bus = rabbitmq::Bus::open(url, clock::system()).unwrap();
        Arc::new(bus.with_lease(lease).on_track(track)) as Arc<dyn Bus>
    })
}

fn on_nats() -> Broker {
    let said = [
        "a key's marked events are in order among themselves",
        "what a member had read ahead and gave back counts as a delivery; one that dies of an event has it tried alone once",
        "5 minutes; later ones are dropped by the inbox",
    ];
    broker!("NATS JetStream", "nats", Nats, nats, on_nats, open_nats, said)
}

fn on_kafka() -> Broker {
    let said = [
        "a key's marked events are in order among themselves",
        "what a member may have had in hand when it died counts as a delivery; then it is tried alone once",
        "among the last 1,024 events of a partition; later ones are dropped by the inbox",
    ];
    broker!("Kafka", "kafka", Kafka, kafka, on_kafka, open_kafka, said)
}

fn on_rabbitmq() -> Broker {
    let said = [
        "a key's marked events are in order among themselves",
        "what a member may have had in hand when it died counts as a delivery; then it is tried alone once",
        "among the last 1,024 events of a partition before the oldest open one; later ones are dropped by the inbox",
    ];
    broker!("RabbitMQ", "amqp", RabbitMq, rabbitmq, on_rabbitmq, open_rabbitmq, said)
}
