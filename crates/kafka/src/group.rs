//! A consumer group as anybody sees it: its offsets, its kinds, its canaries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use messaging::{Error, partitioned::Progress};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

use crate::{
    blocking::{TIMEOUT, blocking},
    connection::Connection,
    context::{Asking, Context, serve},
    names::CANARY,
    partition::Kinds,
};

/// Clients that are no members of the group.
pub(crate) struct Group {
    events: Topic,
    marked: Topic,
    kinds: Topic,
}

/// A topic, and a client that commits for a Kafka group without being a member of it.
struct Topic {
    name: String,
    group: String,
    consumer: Asking,
}

impl Topic {
    fn new(connection: &Connection, name: String, group: String) -> Result<Self, Error> {
        let mut config = connection.options.consumer();
        let consumer = connection.create(config.set("group.id", &group))?;
        Ok(Self { name, group, consumer })
    }

    /// Its partitions, without offsets.
    fn partitions(&self) -> KafkaResult<TopicPartitionList> {
        serve(&self.consumer);
        partitions(&self.consumer, &self.name)
    }

    /// Commits where the group begins; nothing where it has begun, or has members, which have done so.
    fn begin(&self) -> KafkaResult<()> {
        let partitions = self.partitions()?;
        let lows = extent(&self.consumer, &partitions, Offset::Beginning)?;
        let mut new = TopicPartitionList::new();
        for element in self.consumer.committed_offsets(partitions, TIMEOUT)?.elements() {
            if element.offset() == Offset::Invalid {
                let low = lows.get(&element.partition()).copied().unwrap_or_default();
                new.add_partition_offset(&self.name, element.partition(), Offset::Offset(low.cast_signed()))?;
            }
        }
        if new.count() == 0 {
            return Ok(());
        }
        match self.consumer.commit(&new, CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownMemberId) => Ok(()),
            committed => committed,
        }
    }

    /// How many records the group has not settled.
    fn depth(&self) -> KafkaResult<u64> {
        let partitions = self.partitions()?;
        let committed = self.consumer.committed_offsets(partitions.clone(), TIMEOUT)?;
        let highs = extent(&self.consumer, &partitions, Offset::End)?;
        let waiting = committed.elements().into_iter().map(|element| {
            let Offset::Offset(mark) = element.offset() else { return 0 };
            let high = highs.get(&element.partition()).copied().unwrap_or_default();
            let progress = Progress::parse(mark.cast_unsigned(), element.metadata());
            high.saturating_sub(progress.settled())
        });
        Ok(waiting.sum())
    }

    /// The words beside the offset of the first partition.
    fn words(&self) -> KafkaResult<BTreeSet<String>> {
        serve(&self.consumer);
        let mut first = TopicPartitionList::new();
        first.add_partition(&self.name, 0);
        let committed = self.consumer.committed_offsets(first, TIMEOUT)?;
        let words = committed
            .elements()
            .into_iter()
            .flat_map(|element| element.metadata().split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        Ok(words.collect())
    }

    fn write(&self, words: &BTreeSet<String>) -> KafkaResult<()> {
        let mut first = TopicPartitionList::new();
        let text = words.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        first.add_partition_offset(&self.name, 0, Offset::Offset(0))?;
        if let Some(mut element) = first.find_partition(&self.name, 0) {
            element.set_metadata(text);
        }
        self.consumer.commit(&first, CommitMode::Sync)
    }
}

/// The partitions of a topic, without offsets; never none.
pub(crate) fn partitions<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
) -> KafkaResult<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let mut partitions = TopicPartitionList::new();
    for topic in metadata.topics() {
        if let Some(error) = topic.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        for partition in topic.partitions() {
            partitions.add_partition(topic.name(), partition.id());
        }
    }
    if partitions.count() == 0 {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
    }
    Ok(partitions)
}

/// The first or the last offsets of partitions.
pub(crate) fn extent<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    partitions: &TopicPartitionList,
    end: Offset,
) -> KafkaResult<BTreeMap<i32, u64>> {
    if partitions.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let mut asked = partitions.clone();
    asked.set_all_offsets(end)?;
    let mut found = BTreeMap::new();
    for element in consumer.offsets_for_times(asked, TIMEOUT)?.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            found.insert(element.partition(), offset.cast_unsigned());
        }
    }
    Ok(found)
}

impl Group {
    pub(crate) fn new(connection: &Connection, group: &str) -> Result<Self, Error> {
        let names = connection.names();
        Ok(Self {
            events: Topic::new(connection, names.events(), names.group(group))?,
            marked: Topic::new(connection, names.marked(), names.canaries(group))?,
            kinds: Topic::new(connection, names.events(), names.kinds(group))?,
        })
    }

    fn context(&self) -> Context {
        Context::clone(self.events.consumer.context())
    }

    /// Makes the group where it is not there, and adds these kinds to what it is given. Says whether members that were
    /// there before may not know of them yet.
    pub(crate) async fn ensure(self: &Arc<Self>, kinds: Vec<String>) -> Result<bool, Error> {
        let group = Arc::clone(self);
        blocking(&self.context(), move || {
            group.events.begin()?;
            group.marked.begin()?;
            let mut is_news = false;
            // Of two that add kinds at the same time, the second may not have seen the first's.
            loop {
                let known = group.kinds.words()?;
                let all: BTreeSet<String> = known.iter().cloned().chain(kinds.iter().cloned()).collect();
                if all == known {
                    return Ok::<_, KafkaError>(is_news);
                }
                is_news |= !known.is_empty();
                group.kinds.write(&all)?;
            }
        })
        .await
    }

    /// The kinds that the group is given.
    pub(crate) async fn kinds(self: &Arc<Self>) -> Result<Kinds, Error> {
        let group = Arc::clone(self);
        blocking(&self.context(), move || group.kinds.words()).await.map(|words| words.into_iter().collect())
    }

    /// Whether a member of version 2 is there, as far as the brokers know.
    pub(crate) async fn has_canary(self: &Arc<Self>) -> Result<bool, Error> {
        let group = Arc::clone(self);
        blocking(&self.context(), move || {
            serve(&group.marked.consumer);
            let list = group.marked.consumer.fetch_group_list(Some(&group.marked.group), TIMEOUT)?;
            let mut members = list.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
            Ok::<_, KafkaError>(members.any(|member| member.client_id() == CANARY))
        })
        .await
    }

    /// How many events wait for the group or are in its hands.
    pub(crate) async fn depth(self: &Arc<Self>) -> Result<u64, Error> {
        let group = Arc::clone(self);
        blocking(&self.context(), move || Ok::<_, KafkaError>(group.events.depth()? + group.marked.depth()?)).await
    }
}
