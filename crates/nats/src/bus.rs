//! Publishing, and what is known of groups from outside.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::jetstream;
use async_trait::async_trait;
use clock::SharedClock;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use messaging::{Config, DeadLetter, Difference, Error, Event, Resolution, Subscription, Track};
use uuid::Uuid;

use super::{
    connect::Options,
    connection::Connection,
    dead_letters,
    group::{self, Group},
    message,
    names::{SYSTEM, is_subject, partition},
    streams::Streams,
    subscription::NatsSubscription,
    tail::Tail,
};

/// What it cannot keep of the contract of [`messaging::Bus`]; the README says more.
pub const DIFFERENCES: &[Difference] = &[Difference::ReadAheadCounts, Difference::MarksAreApart];

/// How long a member keeps its partitions without a sign of life, and a delivery without [`Subscription::extend`].
const LEASE: Duration = Duration::from_secs(5);
/// Events whose acknowledgement may be awaited at the same time, each of another key.
const WINDOW: usize = 256;
/// How long the server may take to acknowledge or to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to NATS with `JetStream`.
#[derive(Clone)]
pub struct Bus {
    connection: Arc<Connection>,
    lease: Duration,
    track: Track,
}

/// Opens the bus that a service's configuration names; connects in the background.
///
/// # Errors
/// As [`Bus::open`].
pub async fn open_bus(config: &Config, clock: SharedClock) -> Result<Arc<dyn messaging::Bus>, Error> {
    Ok(Arc::new(Bus::open(&config.url, config.declare, clock).await?.on_track(config.track())))
}

/// Stores one event.
async fn publish(connection: &Connection, event: &Event) -> Result<(), Error> {
    if !is_subject(&event.kind) {
        return Err(Error::Rejected { id: event.id, reason: "a kind is words with dots between".to_owned() });
    }
    let headers = message::headers(event, &event.id.to_string())?;
    connection.store(connection.names().event(partition(event), &event.kind), event, headers).await
}

impl Bus {
    /// Opens the bus of a URL; connects in the background, and looks for its streams when they are first needed.
    ///
    /// `declare` says whether streams that are there already are brought to the limits in the URL; those that are
    /// missing are declared in any case.
    ///
    /// # Errors
    /// [`Error::Address`], or a file that the URL names cannot be read.
    pub async fn open(url: &str, declare: bool, clock: SharedClock) -> Result<Self, Error> {
        let options = Options::parse(url)?;
        let (client, trouble) = options.connect().await?;
        let context = jetstream::ContextBuilder::new()
            .timeout(TIMEOUT)
            .ack_timeout(TIMEOUT)
            .max_ack_inflight(2 * WINDOW)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let streams = Streams::new(context, options.names, options.limits, declare);
        let connection = Arc::new(Connection { client, clock, streams, trouble });
        Ok(Self { connection, lease: LEASE, track: Track::Stable })
    }

    /// Sets how long members keep what they do not renew; 5 s where this is not called. Of a group whose members say
    /// different leases, the shortest counts.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The same handle for another version of its service: what subscribes here is on that track.
    pub fn on_track(mut self, track: Track) -> Self {
        self.track = track;
        self
    }

    /// Stores events, those of different keys at once.
    async fn store(&self, events: &[Event]) -> Result<(), Error> {
        self.connection.streams.get().await?;
        let mut keys: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in events {
            keys.entry(&event.key).or_default().push(event);
        }
        // One after the other within a key: a failure in between must not let a later one through.
        let of_key = |events: Vec<&'_ Event>| {
            let connection = Arc::clone(&self.connection);
            let events: Vec<Event> = events.into_iter().cloned().collect();
            async move {
                for event in &events {
                    publish(&connection, event).await?;
                }
                Ok(())
            }
        };
        stream::iter(keys.into_values().map(of_key)).buffer_unordered(WINDOW).try_collect().await
    }
}

#[async_trait]
impl messaging::Bus for Bus {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.connection.explained(self.store(events).await)
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        if let Some(bad) = kinds.iter().copied().chain([group]).find(|name| !is_subject(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a group or a kind")));
        }
        let group = Group::new(Arc::clone(&self.connection), group, kinds, self.lease);
        let joined = NatsSubscription::join(group, self.track).await;
        Ok(Arc::new(self.connection.explained(joined)?))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn messaging::Tail>, Error> {
        if let Some(bad) = kinds.iter().find(|name| !is_subject(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a kind")));
        }
        let opened = Tail::open(Arc::clone(&self.connection), kinds, back).await;
        Ok(Box::new(self.connection.explained(opened)?))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.connection.explained(dead_letters::list(&self.connection, group, limit).await)
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        self.connection.explained(dead_letters::resolve(&self.connection, group, events, resolution).await)
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        let depth = async { group::depth(&*self.connection.streams.get().await?, group).await };
        self.connection.explained(depth.await)
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        self.connection.explained(dead_letters::count(&self.connection, group).await)
    }

    async fn ping(&self) -> Result<(), Error> {
        // Without a connection a call waits for one, longer than whoever checks.
        if let Some(told) = self.connection.trouble.told().filter(|_| !self.connection.is_open()) {
            return Err(Error::bus(told));
        }
        let streams = self.connection.streams.get().await;
        let asked = async { streams?.events.get_info().await.map(drop).map_err(Error::bus) };
        self.connection.explained(asked.await)
    }

    async fn close(&self) {
        if let Err(error) = self.connection.client.drain().await {
            tracing::debug!(%error, "the connection to NATS was closed before");
        }
    }
}
