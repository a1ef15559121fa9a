//! A member of one Kafka group: what the brokers assign to it, and what it commits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use messaging::{Error, Track, partitioned::Progress};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::OwnedMutexGuard;

use crate::{
    blocking::{TIMEOUT, blocking},
    connection::Connection,
    context::Context,
    group::extent,
    names::CANARY,
};

/// After how many leases without a call a member has hung: it leaves the group, and others have its partitions.
const HUNG: u32 = 4;
/// The shortest session that brokers allow (`group.min.session.timeout.ms`), and heartbeats in it.
const SESSION: Duration = Duration::from_secs(6);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What the brokers ask of us.
#[derive(Clone)]
pub(crate) enum Change {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Keeps what the brokers ask for until we have done it: the client library waits for that.
#[derive(Default)]
pub(crate) struct Rebalances {
    open: Mutex<VecDeque<Change>>,
    /// Whether nobody is there any more who would do it.
    is_over: AtomicBool,
}

/// The context that the client library calls back.
pub(crate) struct Member {
    context: Context,
    rebalances: Arc<Rebalances>,
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Context::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let change = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Change::Assign(partitions.clone())
        } else {
            Change::Revoke(partitions.clone())
        };
        if self.rebalances.is_over.load(Ordering::Acquire) {
            change.answer(consumer);
        } else {
            self.rebalances.open().push_back(change);
        }
    }
}

impl Change {
    /// Tells the client library that it is done.
    fn answer(&self, consumer: &impl Consumer<Member>) {
        let answered = match self {
            Self::Assign(partitions) => consumer.incremental_assign(partitions),
            Self::Revoke(partitions) => consumer.incremental_unassign(partitions),
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "the client library refuses an answer to a rebalance");
        }
    }
}

impl Rebalances {
    fn open(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer in a Kafka group.
pub(crate) struct Reader {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) is_marked: bool,
    pub(crate) consumer: Arc<StreamConsumer<Member>>,
    rebalances: Arc<Rebalances>,
    /// Held by whoever commits, also when nobody waits for it any more.
    committing: Arc<tokio::sync::Mutex<()>>,
    is_joined: AtomicBool,
}

/// A partition that is about to be ours.
pub(crate) struct Assigned {
    pub(crate) partition: i32,
    pub(crate) progress: Progress,
}

impl Reader {
    /// A reader of the topic of events, or of marked ones, that has not joined its group yet.
    pub(crate) fn new(
        connection: &Connection,
        group: &str,
        is_marked: bool,
        track: Track,
        lease: Duration,
    ) -> Result<Self, Error> {
        let (options, names) = (&connection.options, connection.names());
        let (topic, group) =
            if is_marked { (names.marked(), names.canaries(group)) } else { (names.events(), names.group(group)) };
        let mut config = options.consumer();
        config.set("group.id", &group);
        if track == Track::Canary {
            config.set("client.id", CANARY);
        }
        // Of groups by the brokers' new protocol, the client library lists no members.
        if options.brokers_assign && !is_marked {
            config.set("group.protocol", "consumer");
        } else {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            config.set("session.timeout.ms", SESSION.as_millis().to_string());
            config.set("heartbeat.interval.ms", HEARTBEAT.as_millis().to_string());
        }
        let hung = (lease * HUNG).max(SESSION);
        config.set("max.poll.interval.ms", hung.as_millis().to_string());
        let rebalances = Arc::new(Rebalances::default());
        let consumer = config
            .create_with_context(Member { context: connection.context.clone(), rebalances: Arc::clone(&rebalances) })
            .map_err(|error| Error::Address(error.to_string()))?;
        Ok(Self {
            topic,
            group,
            is_marked,
            consumer: Arc::new(consumer),
            rebalances,
            committing: Arc::default(),
            is_joined: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.is_joined.load(Ordering::Acquire)
    }

    /// Joins the group; the brokers assign partitions later.
    pub(crate) fn join(&self) -> Result<(), Error> {
        if !self.is_joined() {
            self.consumer.subscribe(&[&self.topic]).map_err(Error::bus)?;
            self.is_joined.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Leaves the group: the brokers revoke all partitions.
    pub(crate) fn leave(&self) {
        if self.is_joined.swap(false, Ordering::AcqRel) {
            self.consumer.unsubscribe();
        }
    }

    /// What the brokers ask for and is not done yet.
    pub(crate) fn change(&self) -> Option<Change> {
        self.rebalances.open().front().cloned()
    }

    /// Tells the client library that the first change is done; what is assigned is read from these offsets.
    pub(crate) fn done(&self, change: &Change) {
        self.rebalances.open().pop_front();
        change.answer(&*self.consumer);
    }

    /// What the group has committed in these partitions, compared with what the log holds.
    pub(crate) async fn committed(&self, partitions: TopicPartitionList) -> Result<Vec<Assigned>, Error> {
        let (consumer, group) = (Arc::clone(&self.consumer), self.group.clone());
        // The client library takes no empty lists.
        if partitions.count() == 0 {
            return Ok(Vec::new());
        }
        blocking(&self.context(), move || {
            let lows = extent(&*consumer, &partitions, Offset::Beginning)?;
            let highs = extent(&*consumer, &partitions, Offset::End)?;
            let committed = consumer.committed_offsets(partitions.clone(), TIMEOUT)?;
            let mut assigned = Vec::new();
            for element in committed.elements() {
                element.error()?;
                let partition = element.partition();
                let of = |extent: &BTreeMap<i32, u64>| extent.get(&partition).copied().unwrap_or_default();
                let (low, high) = (of(&lows), of(&highs));
                let progress = match element.offset() {
                    Offset::Offset(mark) => {
                        compared(&group, partition, mark.cast_unsigned(), element.metadata(), low, high)
                    }
                    _ => Progress::from(low),
                };
                assigned.push(Assigned { partition, progress });
            }
            Ok::<_, KafkaError>(assigned)
        })
        .await
    }

    /// Commits, off the runtime's threads; a commit that nobody waits for any more keeps the next one waiting.
    pub(crate) async fn commit(
        &self,
        partitions: TopicPartitionList,
        turn: OwnedMutexGuard<()>,
    ) -> Result<OwnedMutexGuard<()>, Error> {
        let consumer = Arc::clone(&self.consumer);
        let commit = move || (consumer.commit(&partitions, CommitMode::Sync), turn);
        match tokio::task::spawn_blocking(commit).await {
            Ok((Ok(()), turn)) => Ok(turn),
            Ok((Err(error), _)) => Err(self.refusal(error)),
            Err(ended) => Err(Error::bus(ended)),
        }
    }

    /// Whether somebody else has our partitions, or the brokers only did not answer. Of a generation that is over
    /// (`IllegalGeneration`, `StaleMemberEpoch`) a cooperative member may still have what it had: it is told soon.
    fn refusal(&self, error: KafkaError) -> Error {
        let lost = [RDKafkaErrorCode::UnknownMemberId, RDKafkaErrorCode::FencedMemberEpoch];
        let is_lost = error.rdkafka_error_code().is_some_and(|code| lost.contains(&code));
        if is_lost { Error::Lost } else { self.context().failed(error) }
    }

    fn context(&self) -> Context {
        self.consumer.context().context.clone()
    }

    /// Waits for its turn to commit.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.committing).lock_owned().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.rebalances.is_over.store(true, Ordering::Release);
        while let Some(change) = self.change() {
            self.done(&change);
        }
    }
}

/// What a group has committed, where the log is the one that it was committed for.
fn compared(group: &str, partition: i32, mark: u64, metadata: &str, low: u64, high: u64) -> Progress {
    if mark > high {
        tracing::error!(
            group,
            partition,
            mark,
            high,
            "the log is shorter than what the group has read: it begins anew"
        );
        return Progress::from(low);
    }
    let mut progress = Progress::parse(mark, metadata);
    if mark < low {
        tracing::error!(group, partition, mark, low, "events are missing from the log that the group had not read");
        progress.skip(mark, low);
    }
    progress
}
