//! Streams, publishing, and what is known of groups from outside.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, DeliverPolicy, pull},
        kv::{self, CreateErrorKind, Store},
        stream::{Config, DiscardPolicy, StorageType, Stream},
    },
};
use async_trait::async_trait;
use clock::SharedClock;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    connect::Options,
    deaths,
    entry::{Entry, REPLAY},
    message,
    names::{Names, PARTS, is_subject, part_key, part_of},
    reader::filters,
    subscription::NatsSubscription,
};
use crate::{Bus, DeadLetter, Error, Event, Subscription, Track};

/// How long a member keeps its parts without a sign of life, and a delivery without [`Subscription::extend`].
const LEASE: Duration = Duration::from_secs(5);
/// How long events and dead letters are kept: shorter than inboxes remember.
const RETENTION: Duration = Duration::from_hours(7 * 24);
/// How long the server recognises a repetition: a relay repeats a batch within its time limit and pauses, 15 s.
const DUPLICATES: Duration = Duration::from_mins(5);
/// Events whose acknowledgement may be awaited at the same time, each of another key.
const WINDOW: usize = 256;
/// How long the server may take to acknowledge or to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to NATS with `JetStream`.
#[derive(Clone)]
pub struct NatsBus {
    shared: Arc<Shared>,
    lease: Duration,
    track: Track,
}

/// What the bus and its subscriptions use.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) names: Names,
    pub(super) clock: SharedClock,
    js: Context,
    replicas: usize,
    streams: OnceCell<Streams>,
}

/// What has been declared on the server.
pub(super) struct Streams {
    pub(super) events: Stream,
    pub(super) dead: Stream,
    pub(super) groups: Store,
}

impl NatsBus {
    /// Opens the bus of a URL; connects in the background, and declares its streams when they are first needed.
    ///
    /// # Errors
    /// [`Error::Address`], or a file that the URL names cannot be read.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self, Error> {
        let options = Options::parse(url)?;
        let client = options.connect().await?;
        let js = jetstream::ContextBuilder::new()
            .timeout(PATIENCE)
            .ack_timeout(PATIENCE)
            .max_ack_inflight(2 * WINDOW)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let streams = OnceCell::new();
        let shared = Shared { client, names: options.names, clock, js, replicas: options.replicas, streams };
        Ok(Self { shared: Arc::new(shared), lease: LEASE, track: Track::Stable })
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

    /// A new member of a group, which nobody knows yet.
    pub(super) async fn join(&self, group: &str, kinds: &[&str]) -> Result<NatsSubscription, Error> {
        if let Some(bad) = kinds.iter().copied().chain([group]).find(|name| !is_subject(name)) {
            return Err(Error::Address(format!("`{bad}` cannot be the name of a group or a kind")));
        }
        let streams = self.shared.streams().await?;
        let unread = Entry::unread(kinds.iter().copied().chain([REPLAY])).to_bytes()?;
        let make = (0..PARTS).map(|part| {
            let unread = unread.clone();
            async move {
                match streams.groups.create(part_key(group, part), unread).await {
                    Err(error) if error.kind() != CreateErrorKind::AlreadyExists => Err(Error::bus(error)),
                    _ => Ok(()),
                }
            }
        });
        try_join_all(make).await?;
        let kinds = kinds.iter().copied().chain([REPLAY]).map(str::to_owned).collect();
        let (track, lease) = (self.track, self.lease);
        NatsSubscription::new(Arc::clone(&self.shared), streams, group, kinds, (track, lease)).await
    }
}

impl Shared {
    /// The streams, declared by the first who needs them; again by each process, which changes nothing.
    pub(super) async fn streams(&self) -> Result<&Streams, Error> {
        self.streams.get_or_try_init(|| self.declare()).await
    }

    async fn declare(&self) -> Result<Streams, Error> {
        let config = Config {
            name: self.names.events(),
            subjects: self.names.all_events(),
            max_age: RETENTION,
            duplicate_window: DUPLICATES,
            ..self.kept()
        };
        let dead = Config { name: self.names.dead(), subjects: vec![self.names.all_dead()], ..self.kept() };
        let groups = kv::Config {
            bucket: self.names.groups(),
            history: 1,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        self.js.create_or_update_stream(config).await.map_err(Error::bus)?;
        self.js.create_or_update_stream(dead).await.map_err(Error::bus)?;
        Ok(Streams {
            events: self.js.get_stream(self.names.events()).await.map_err(Error::bus)?,
            dead: self.js.get_stream(self.names.dead()).await.map_err(Error::bus)?,
            groups: self.js.create_or_update_key_value(groups).await.map_err(Error::bus)?,
        })
    }

    /// On disk, never more than there is room for: a full stream refuses what is new, and outboxes keep it.
    fn kept(&self) -> Config {
        Config {
            storage: StorageType::File,
            num_replicas: self.replicas,
            discard: DiscardPolicy::New,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// Stores one message and waits until it is stored.
    pub(super) async fn store(&self, subject: String, event: &Event, headers: HeaderMap) -> Result<(), Error> {
        let stored = self.js.publish_with_headers(subject, headers, event.data.clone()).await;
        stored.map_err(|error| message::refusal(event, error))?.await.map(drop).map_err(|e| message::refusal(event, e))
    }

    async fn publish_one(&self, event: &Event) -> Result<(), Error> {
        if !is_subject(&event.kind) {
            return Err(Error::Rejected { id: event.id, reason: "a kind is words with dots between".to_owned() });
        }
        let headers = message::headers(event, &event.id.to_string())?;
        let subject = self.names.event(Some(part_of(event)), &event.kind);
        self.store(subject, event, headers).await
    }

    /// How often the connection was made.
    pub(super) fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Tells the members of a group to look.
    pub(super) async fn signal(&self, group: &str) {
        // Lost, it costs time: they look by themselves.
        drop(self.client.publish(self.names.signal(group), bytes::Bytes::new()).await);
    }

    /// What is not settled in a part of a group.
    async fn unsettled(&self, streams: &Streams, group: &str, part: u16, end: u64) -> Result<u64, Error> {
        let Some(bytes) = streams.groups.get(part_key(group, part)).await.map_err(Error::bus)? else { return Ok(0) };
        let entry = Entry::from_bytes(&bytes)?;
        let mut by_place: HashMap<u64, Vec<String>> = HashMap::new();
        for (kind, read) in entry.read {
            by_place.entry(read).or_default().push(kind);
        }
        let unread = by_place.into_iter().filter(|(read, _)| *read < end);
        let counts = unread.map(|(read, kinds)| self.count(streams, group, part, read + 1, kinds));
        Ok(entry.open.len() as u64 + try_join_all(counts).await?.into_iter().sum::<u64>())
    }

    /// How many events of some kinds stand in a part from a place on.
    async fn count(
        &self,
        streams: &Streams,
        group: &str,
        part: u16,
        start: u64,
        kinds: Vec<String>,
    ) -> Result<u64, Error> {
        let config = pull::Config {
            filter_subjects: filters(&self.names, group, &kinds, &BTreeSet::from([part])),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            ack_policy: AckPolicy::None,
            inactive_threshold: PATIENCE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let counter = streams.events.create_consumer(config).await.map_err(Error::bus)?;
        let info = counter.cached_info();
        // Gone soon, even if this fails.
        drop(streams.events.delete_consumer(&info.name).await);
        Ok(info.num_pending)
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.shared.streams().await?;
        let mut keys: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in events {
            keys.entry(&event.key).or_default().push(event);
        }
        // One after the other within a key: a failure in between must not let a later one through.
        let of_key = |events: Vec<&'_ Event>| {
            let shared = Arc::clone(&self.shared);
            let events: Vec<Event> = events.into_iter().cloned().collect();
            async move {
                for event in &events {
                    shared.publish_one(event).await?;
                }
                Ok(())
            }
        };
        stream::iter(keys.into_values().map(of_key)).buffer_unordered(WINDOW).try_collect().await
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        Ok(Arc::new(self.join(group, kinds).await?))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        deaths::list(&self.shared, self.shared.streams().await?, group, limit).await
    }

    async fn replay(&self, group: &str, event: Uuid) -> Result<(), Error> {
        deaths::replay(&self.shared, self.shared.streams().await?, group, event).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        let streams = self.shared.streams().await?;
        let end = streams.events.get_info().await.map_err(Error::bus)?.state.last_sequence;
        let parts = (0..PARTS).map(|part| self.shared.unsettled(streams, group, part, end));
        Ok(try_join_all(parts).await?.into_iter().sum())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared.streams().await?.events.get_info().await.map(drop).map_err(Error::bus)
    }

    async fn close(&self) {
        if let Err(error) = self.shared.client.drain().await {
            tracing::debug!(%error, "the connection to NATS was closed before");
        }
    }
}
