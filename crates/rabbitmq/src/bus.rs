//! Publishing, and what is known of groups from outside.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use clock::SharedClock;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use messaging::{Config, DeadLetter, Difference, Error, Event, Resolution, Subscription, Track};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    catalogue::Locked,
    client::{Client, Failure, Link, MAX_BODY, Publisher, look},
    dead_letters,
    group::Group,
    member::Member,
    message,
    names::{SYSTEM, is_name, partition},
    options::Options,
    tail::Tail,
};

/// What it cannot keep of the contract of [`messaging::Bus`]; the README says more.
pub const DIFFERENCES: &[Difference] =
    &[Difference::ReadAheadCounts, Difference::MarksAreApart, Difference::BrokerAssigns];

/// How long a member keeps a delivery without [`Subscription::extend`].
const LEASE: Duration = Duration::from_secs(5);
/// Events whose confirmation may be awaited at the same time, each of another key.
const WINDOW: usize = 256;

/// A connection to RabbitMQ.
#[derive(Clone)]
pub struct Bus {
    link: Arc<Link>,
    publishers: Arc<Mutex<Publishers>>,
    lease: Duration,
    track: Track,
}

/// What events are published with.
///
/// Each stream has a channel of its own. Where a stream gets another leader, the server sends it again what it has not
/// confirmed, and up to 3.13 numbers that as the channel has counted, not as the stream has (`resend_all` in
/// `rabbit_stream_queue.erl`); the stream takes what comes later under such a number for a repetition: it is confirmed and
/// never stored. On a channel that knows one stream both count the same.
#[derive(Default)]
struct Publishers {
    /// How many partitions of the keys there are, once their streams are declared.
    partitions: Option<u16>,
    channels: HashMap<String, Publisher>,
}

/// Opens the bus that a service's configuration names; connects when it is first needed.
///
/// # Errors
/// As [`Bus::open`].
pub async fn open_bus(config: &Config, clock: SharedClock) -> Result<Arc<dyn messaging::Bus>, Error> {
    Ok(Arc::new(Bus::open(&config.url, clock)?.on_track(config.track())))
}

impl Bus {
    /// Opens the bus of a URL; connects, and declares what is missing on the server, when it is first needed.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn open(url: &str, clock: SharedClock) -> Result<Self, Error> {
        let client = Arc::new(Client { options: Options::parse(url)?, clock });
        let link = Arc::new(Link::new(client, "bus"));
        Ok(Self { link, publishers: Arc::default(), lease: LEASE, track: Track::Stable })
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

    /// How many partitions of the keys there are; declares the streams that are missing.
    async fn partitions(&self) -> Result<u16, Error> {
        let mut publishers = self.publishers.lock().await;
        if let Some(partitions) = publishers.partitions {
            return Ok(partitions);
        }
        let locked = Locked::new(&self.link.client).await?;
        let catalogue = locked.catalogue().await;
        locked.release().await;
        Ok(*publishers.partitions.insert(catalogue?.partitions))
    }

    /// The channel of a stream.
    async fn publisher(&self, stream: &str) -> Result<Publisher, Failure> {
        let mut publishers = self.publishers.lock().await;
        if let Some(publisher) = publishers.channels.get(stream).filter(|publisher| publisher.works()) {
            return Ok(publisher.clone());
        }
        let publisher = self.link.confirming().await?;
        publishers.channels.insert(stream.to_owned(), publisher.clone());
        Ok(publisher)
    }

    async fn store(&self, partitions: u16, event: &Event) -> Result<(), Error> {
        let refused = |reason: &str| Error::Rejected { id: event.id, reason: reason.to_owned() };
        if !is_name(&event.kind) {
            return Err(refused("a kind is words with dots between"));
        }
        if event.data.len() > MAX_BODY {
            return Err(refused("it is larger than RabbitMQ takes"));
        }
        let stream = self.link.client.options.names.events(partition(event, partitions));
        let properties = message::of_event(event, &event.id.to_string(), &[]);
        let publisher = self.publisher(&stream).await?;
        let Err(failure) = publisher.store(&stream, &event.data, properties).await else { return Ok(()) };
        self.forget(&stream, &publisher).await;
        // One that has no leader yet is there; one that is gone is declared again with the next try.
        if failure.is_missing() && self.look(&stream).await.is_err_and(|failure| failure.is_missing()) {
            self.publishers.lock().await.partitions = None;
        }
        Err(failure.into())
    }

    /// Gives a stream a new channel: what was refused has been counted by the channel alone.
    async fn forget(&self, stream: &str, failed: &Publisher) {
        let channels = &mut self.publishers.lock().await.channels;
        if channels.get(stream).is_some_and(|publisher| publisher.is(failed)) {
            channels.remove(stream);
        }
    }

    async fn group(&self, name: &str, link: Arc<Link>) -> Result<Group, Error> {
        let partitions = self.partitions().await?;
        Ok(Group { link, name: name.to_owned(), partitions })
    }

    async fn look(&self, queue: &str) -> Result<(), Failure> {
        look(&self.link.channel().await?, queue).await.map(drop)
    }
}

#[async_trait]
impl messaging::Bus for Bus {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        let partitions = self.partitions().await?;
        let mut keys: HashMap<&str, Vec<Event>> = HashMap::new();
        for event in events {
            keys.entry(&event.key).or_default().push(event.clone());
        }
        // One after the other within a key: a failure in between must not let a later one through.
        let of_key = |events: Vec<Event>| {
            let bus = self.clone();
            async move {
                for event in &events {
                    bus.store(partitions, event).await?;
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
        let link = Arc::new(Link::new(Arc::clone(&self.link.client), group));
        let group = self.group(group, link).await?;
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Ok(Arc::new(Member::join(group, self.track, &kinds, self.lease).await?))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn messaging::Tail>, Error> {
        if let Some(bad) = kinds.iter().find(|name| !is_name(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a kind")));
        }
        let link = Arc::new(Link::new(Arc::clone(&self.link.client), "tail"));
        Ok(Box::new(Tail::open(link, kinds, back).await?))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        dead_letters::list(&self.link.client, group, limit).await
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        dead_letters::resolve(&self.link.client, group, events, resolution).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        self.group(group, Arc::clone(&self.link)).await?.depth().await
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        dead_letters::count(&self.link, group).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.partitions().await?;
        Ok(self.look(&self.link.client.options.names.catalogue()).await?)
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
