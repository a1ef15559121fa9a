//! Publishing, and what is known of groups from outside.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use clock::SharedClock;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use messaging::{Config, DeadLetter, Difference, Error, Event, Resolution, Subscription, Track};
use rdkafka::producer::Producer as _;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    blocking::{TIMEOUT, blocking},
    connection::Connection,
    dead_letters,
    group::Group,
    message,
    names::{SYSTEM, is_name},
    options::Options,
    subscription::{KafkaSubscription, NEWS},
    tail::Tail,
};

/// What it cannot keep of the contract of [`messaging::Bus`]; the README says more.
pub const DIFFERENCES: &[Difference] =
    &[Difference::ReadAheadCounts, Difference::MarksAreApart, Difference::BrokerAssigns];

/// How long a member keeps a delivery without [`Subscription::extend`].
const LEASE: Duration = Duration::from_secs(5);
/// Events whose acknowledgement may be awaited at the same time, each of another key.
const WINDOW: usize = 256;

/// A connection to Kafka.
#[derive(Clone)]
pub struct Bus {
    connection: Arc<Connection>,
    /// Groups that were asked for.
    groups: Arc<Mutex<HashMap<String, Arc<Group>>>>,
    lease: Duration,
    track: Track,
}

/// Opens the bus that a service's configuration names; connects in the background.
///
/// # Errors
/// As [`Bus::open`].
pub async fn open_bus(config: &Config, clock: SharedClock) -> Result<Arc<dyn messaging::Bus>, Error> {
    Ok(Arc::new(Bus::open(&config.url, config.declare, clock)?.on_track(config.track())))
}

/// Stores one event.
async fn publish(connection: &Connection, event: &Event) -> Result<(), Error> {
    if !is_name(&event.kind) {
        return Err(Error::Rejected { id: event.id, reason: "a kind is words with dots between".to_owned() });
    }
    connection.store(&connection.topic_of(event), &event.key, Some(event), message::of_event(event)).await
}

impl Bus {
    /// Opens the bus of a URL; connects in the background, and looks for its topics when they are first needed.
    ///
    /// `declare` says whether topics that are there already are brought to the limits in the URL; those that are missing
    /// are declared in any case.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn open(url: &str, declare: bool, clock: SharedClock) -> Result<Self, Error> {
        let connection = Arc::new(Connection::new(Options::parse(url)?, declare, clock)?);
        Ok(Self { connection, groups: Arc::default(), lease: LEASE, track: Track::Stable })
    }

    /// Sets how long members keep what they do not renew; 5 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The same handle for another version of its service: what subscribes here is on that track.
    pub fn on_track(mut self, track: Track) -> Self {
        self.track = track;
        self
    }

    fn group(&self, name: &str) -> Result<Arc<Group>, Error> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(name) {
            return Ok(Arc::clone(group));
        }
        let group = Arc::new(Group::new(&self.connection, name)?);
        groups.insert(name.to_owned(), Arc::clone(&group));
        Ok(group)
    }
}

#[async_trait]
impl messaging::Bus for Bus {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.connection.ensure().await?;
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

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        if let Some(bad) = kinds.iter().copied().chain([group]).find(|name| !is_name(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a group or a kind")));
        }
        self.connection.ensure().await?;
        let (name, group) = (group.to_owned(), self.group(group)?);
        if group.ensure(kinds.iter().map(|kind| (*kind).to_owned()).collect()).await? {
            sleep(NEWS).await;
        }
        let connection = Arc::clone(&self.connection);
        Ok(Arc::new(KafkaSubscription::join(connection, (name, group), self.track, self.lease)?))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn messaging::Tail>, Error> {
        if let Some(bad) = kinds.iter().find(|name| !is_name(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a kind")));
        }
        Ok(Box::new(Tail::open(Arc::clone(&self.connection), kinds, back).await?))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.connection.ensure().await?;
        dead_letters::list(&self.connection, group, limit).await
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        self.connection.ensure().await?;
        dead_letters::resolve(&self.connection, group, events, resolution).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        self.connection.ensure().await?;
        self.group(group)?.depth().await
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        self.connection.ensure().await?;
        dead_letters::count(&self.connection, group).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let (producer, topic) = (self.connection.producer.clone(), self.connection.names().events());
        blocking(&self.connection.context, move || producer.client().fetch_metadata(Some(&topic), TIMEOUT).map(drop))
            .await
    }

    async fn close(&self) {
        let producer = self.connection.producer.clone();
        if let Err(error) = blocking(&self.connection.context, move || producer.flush(TIMEOUT)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the connection to Kafka was closed before");
        }
    }
}
