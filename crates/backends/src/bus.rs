//! The buses.

use std::sync::Arc;

use clock::SharedClock;
use futures::future::BoxFuture;
use messaging::{Bus, Config};

use crate::{
    Error,
    adapter::{Adapter, adapter, choose},
};

type Opened<'a> = BoxFuture<'a, Result<Arc<dyn Bus>, messaging::Error>>;
type Open = for<'a> fn(&'a Config, SharedClock) -> Opened<'a>;

/// One line an adapter.
const BUSES: &[Adapter<Open>] = &[
    adapter!("sqlite", ["sqlite"], |config, clock| Box::pin(sqlite::open_bus(config, clock))),
    adapter!("nats", ["nats", "tls"], |config, clock| Box::pin(nats::open_bus(config, clock))),
    adapter!("kafka", ["kafka", "kafka+ssl"], |config, clock| Box::pin(kafka::open_bus(config, clock))),
    adapter!("rabbitmq", ["amqp", "amqps"], |config, clock| Box::pin(rabbitmq::open_bus(config, clock))),
];

/// Opens the bus that the section `bus` of a service's configuration names.
///
/// # Errors
///
/// The scheme of its URL is unknown or was left out of the build, or the bus cannot be reached.
pub async fn open(config: &Config, clock: SharedClock) -> Result<Arc<dyn Bus>, Error> {
    choose(BUSES, &config.url)?(config, clock).await.map_err(Error::open)
}
