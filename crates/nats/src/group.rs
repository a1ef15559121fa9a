//! A group on the server: a durable pull consumer for each partition.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::{
    consumer::{self, AckPolicy, DeliverPolicy, FromConsumer as _, PriorityPolicy, pull},
    kv::Store,
    stream::{self, ConsumerCreateStrictErrorKind, Stream},
};
use futures::{TryStreamExt as _, future::try_join_all};
use messaging::Error;
use tokio::time::sleep;

use super::{
    connection::Connection,
    names::{self, PARTITIONS, READERS},
    streams::Declared,
    takeover,
};

/// Records of a partition that may be delivered and not settled. Where so many wait behind a key that fails, the rest
/// of the partition waits in the log.
pub(crate) const MAX_ACK_PENDING: usize = 2_048;
/// Which log a consumer was made for: a stream that was deleted and made again is another one.
const CREATED: &str = "trireme.stream.created";
/// What a member tries alone, because it may be what the last one died of: `MEMBER:COUNT:SEQUENCE`.
const TRIED: &str = "trireme.tried";
/// How often, and how long apart, a log that is shorter than what a group has read is asked again: on a cluster the
/// leader of the stream may be behind the leader of the consumer for a moment.
const DOUBTS: (u32, Duration) = (5, Duration::from_millis(200));

/// A group, as one of its members knows it.
pub(crate) struct Group {
    pub(crate) connection: Arc<Connection>,
    pub(crate) name: String,
    pub(crate) kinds: Vec<String>,
    lease: Duration,
}

impl Group {
    pub(crate) fn new(connection: Arc<Connection>, name: &str, kinds: &[&str], lease: Duration) -> Self {
        Self { connection, name: name.to_owned(), kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(), lease }
    }

    /// Makes the consumers that are missing, adds kinds that are new to the group, and compares what the group has read
    /// with the log. Returns the group's lease.
    pub(crate) async fn ensure(&self) -> Result<Duration, Error> {
        let streams = &self.connection.streams;
        streams.forget().await;
        let events = &streams.get().await?.events;
        let log = Log::new(events.cached_info());
        let infos = infos(events).await?;
        let names = (0..PARTITIONS).map(|partition| names::consumer(&self.name, partition));
        let bucket = if names.clone().all(|name| infos.contains_key(&name)) {
            None
        } else {
            takeover::bucket(&streams.context, &streams.names).await
        };
        let each = names.zip(0..).map(|(name, partition)| {
            let (info, log, bucket) = (infos.get(&name), &log, bucket.as_ref());
            async move {
                match info {
                    None => self.create(events, partition, log, bucket).await,
                    Some(info) => self.compare(events, partition, log, info).await,
                }
            }
        });
        Ok(try_join_all(each).await?.into_iter().min().unwrap_or(self.lease))
    }

    /// Makes a consumer that begins where the last release left off, or with the oldest event.
    async fn create(
        &self,
        stream: &Stream,
        partition: u16,
        log: &Log,
        bucket: Option<&Store>,
    ) -> Result<Duration, Error> {
        let left_off = match bucket {
            Some(bucket) => takeover::start(bucket, &self.name, partition, &self.kinds).await?,
            None => None,
        };
        let deliver_policy = match left_off {
            Some(start_sequence) if start_sequence <= log.last + 1 => DeliverPolicy::ByStartSequence { start_sequence },
            Some(start_sequence) => {
                let group = &self.name;
                tracing::error!(
                    group,
                    partition,
                    start_sequence,
                    last_sequence = log.last,
                    "the group's offset is beyond the end of the log: it reads the log from its start"
                );
                DeliverPolicy::All
            }
            None => DeliverPolicy::All,
        };
        let config =
            pull::Config { deliver_policy, ..self.config(partition, &log.created, BTreeSet::new(), self.lease) };
        match stream.create_consumer_strict(config).await {
            Ok(_) => Ok(self.lease),
            // Another member was there first, perhaps with other kinds.
            Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {
                let info = stream.consumer_info(names::consumer(&self.name, partition)).await.map_err(Error::bus)?;
                self.adopt(stream, partition, log, &info).await
            }
            Err(error) => Err(Error::bus(error)),
        }
    }

    /// Compares a consumer with the log and with what this member needs.
    async fn compare(
        &self,
        stream: &Stream,
        partition: u16,
        log: &Log,
        info: &consumer::Info,
    ) -> Result<Duration, Error> {
        let read = info.delivered.stream_sequence;
        let other = info.config.metadata.get(CREATED).is_some_and(|created| *created != log.created);
        if other || read > log.last && is_shorter(stream, read).await? {
            let group = &self.name;
            tracing::error!(
                group,
                partition,
                read,
                last_sequence = log.last,
                other_log = other,
                "the group has read further than the log goes: it reads the log from its start, and the inbox sorts out what comes again"
            );
            stream.delete_consumer(&info.name).await.map_err(Error::bus)?;
            return self.create(stream, partition, log, None).await;
        }
        self.adopt(stream, partition, log, info).await
    }

    /// Uses a consumer that is there, with the kinds of all members and the shortest lease of all.
    async fn adopt(
        &self,
        stream: &Stream,
        partition: u16,
        log: &Log,
        info: &consumer::Info,
    ) -> Result<Duration, Error> {
        let lease = from_ack_wait(info.config.ack_wait);
        let known: BTreeSet<String> = filters_of(&info.config).collect();
        if self.filters(partition).is_subset(&known) && lease <= self.lease {
            return Ok(lease);
        }
        let lease = lease.min(self.lease);
        // Only ever more kinds: while two versions run, neither takes anything from the other.
        let config = pull::Config {
            deliver_policy: info.config.deliver_policy,
            metadata: info.config.metadata.clone(),
            ..self.config(partition, &log.created, known, lease)
        };
        stream.update_consumer(config).await.map_err(Error::bus)?;
        Ok(lease)
    }

    /// Has the server remember what is about to be tried alone, for the member that comes after us.
    pub(crate) async fn note_tried(&self, partition: u16, tried: &Tried) -> Result<(), Error> {
        let streams = self.connection.streams.get().await?;
        let info = streams.events.consumer_info(names::consumer(&self.name, partition)).await.map_err(Error::bus)?;
        let mut config = pull::Config::try_from_consumer_config(info.config).map_err(Error::bus)?;
        config.metadata.insert(TRIED.to_owned(), tried.to_string());
        streams.events.update_consumer(config).await.map(drop).map_err(Error::bus)
    }

    fn filters(&self, partition: u16) -> BTreeSet<String> {
        let names = self.connection.names();
        let kinds = self.kinds.iter().map(|kind| names.event(partition, kind));
        kinds.chain([names.replay(partition, &self.name)]).collect()
    }

    fn config(&self, partition: u16, created: &str, known: BTreeSet<String>, lease: Duration) -> pull::Config {
        let name = names::consumer(&self.name, partition);
        pull::Config {
            durable_name: Some(name.clone()),
            name: Some(name),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ack_wait(lease),
            max_ack_pending: i64::try_from(MAX_ACK_PENDING).unwrap_or(i64::MAX),
            filter_subjects: known
                .into_iter()
                .chain(self.filters(partition))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            metadata: HashMap::from([(CREATED.to_owned(), created.to_owned())]),
            priority_policy: PriorityPolicy::PinnedClient,
            priority_groups: vec![READERS.to_owned()],
            priority_timeout: lease,
            ..pull::Config::default()
        }
    }
}

/// What a member tries alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) member: String,
    /// Which of its tries: of all that a member has noted, only the last can be what it died of.
    pub(crate) count: u64,
    pub(crate) sequence: u64,
}

impl Tried {
    /// What the last reader of a partition noted there.
    pub(crate) fn of(info: &consumer::Info) -> Option<Self> {
        let mut parts = info.config.metadata.get(TRIED)?.split(':');
        let (member, count, sequence) = (parts.next()?.to_owned(), parts.next()?, parts.next()?);
        Some(Self { member, count: count.parse().ok()?, sequence: sequence.parse().ok()? })
    }

    /// Whether its member has tried nothing else since.
    pub(crate) async fn is_last(&self, stream: &Stream) -> Result<bool, Error> {
        let later = |other: &Self| other.member == self.member && other.count > self.count;
        Ok(!infos(stream).await?.values().filter_map(Self::of).any(|other| later(&other)))
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.member, self.count, self.sequence)
    }
}

/// What the server waits for before it gives an event to somebody else. Longer than the lease by which its holder goes,
/// so that whatever takes its time on the way to the server does not overlap with the next holder.
fn ack_wait(lease: Duration) -> Duration {
    lease * 3 / 2
}

fn from_ack_wait(ack_wait: Duration) -> Duration {
    ack_wait * 2 / 3
}

fn filters_of(config: &consumer::Config) -> impl Iterator<Item = String> {
    let one = Some(&config.filter_subject).filter(|subject| !subject.is_empty());
    config.filter_subjects.iter().chain(one).cloned()
}

/// The log that a group reads.
struct Log {
    created: String,
    last: u64,
}

impl Log {
    fn new(info: &stream::Info) -> Self {
        Self { created: info.created.unix_timestamp_nanos().to_string(), last: info.state.last_sequence }
    }
}

/// Whether the log really ends before a sequence that was read.
pub(crate) async fn is_shorter(stream: &Stream, read: u64) -> Result<bool, Error> {
    for _ in 0..DOUBTS.0 {
        if stream.get_info().await.map_err(Error::bus)?.state.last_sequence >= read {
            return Ok(false);
        }
        sleep(DOUBTS.1).await;
    }
    Ok(true)
}

/// All consumers of the stream, by name: one request for 256 of them.
async fn infos(stream: &Stream) -> Result<HashMap<String, consumer::Info>, Error> {
    stream.consumers().map_ok(|info| (info.name.clone(), info)).try_collect().await.map_err(Error::bus)
}

/// How many events wait for a group or are in its hands, as its consumers say.
pub(crate) async fn depth(streams: &Declared, group: &str) -> Result<u64, Error> {
    let infos = infos(&streams.events).await?;
    let own = (0..PARTITIONS).filter_map(|partition| infos.get(&names::consumer(group, partition)));
    Ok(own.map(|info| info.num_pending + info.num_ack_pending as u64).sum())
}
