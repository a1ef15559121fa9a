//! The topics, declared where they are missing.

use std::time::Duration;

use messaging::Error;
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::MetadataTopic,
};

use crate::{
    blocking::TIMEOUT,
    context::{Asking, Context, serve},
    names::Names,
};

/// What topics are declared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of the topics of events: as many members of a group work at the same time at most.
    pub(crate) partitions: i32,
    /// Copies of each partition.
    pub(crate) replicas: i32,
    /// Copies that have to have a record before it counts as stored; one less than there are where nothing is said.
    pub(crate) min_insync: Option<i32>,
    /// How long events are kept.
    pub(crate) max_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { partitions: 16, replicas: 1, min_insync: None, max_age: Duration::from_hours(7 * 24) }
    }
}

impl Limits {
    fn of_events(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", self.max_age.as_millis().to_string()),
            ("min.insync.replicas", self.insync().to_string()),
        ]
    }

    fn of_dead_letters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cleanup.policy", "compact".to_owned()),
            // Claims are compared by the broker's clock.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("min.insync.replicas", self.insync().to_string()),
        ]
    }

    fn insync(&self) -> i32 {
        self.min_insync.unwrap_or((self.replicas - 1).max(1))
    }
}

/// A topic and what it has to be.
struct Topic {
    name: String,
    partitions: i32,
    settings: Vec<(&'static str, String)>,
}

fn topics(names: &Names, limits: &Limits) -> [Topic; 3] {
    let events = |name| Topic { name, partitions: limits.partitions, settings: limits.of_events() };
    let dead_letters = Topic { name: names.dead_letters(), partitions: 1, settings: limits.of_dead_letters() };
    [events(names.events()), events(names.marked()), dead_letters]
}

/// Makes the topics that are missing; those that are there are brought to these limits only where `declare` says so.
pub(crate) async fn declare(
    admin: &AdminClient<Context>,
    context: &Context,
    names: &Names,
    limits: &Limits,
    declare: bool,
) -> Result<(), Error> {
    let topics = topics(names, limits);
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let new = topics.iter().map(|topic| {
        let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(limits.replicas));
        topic.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
    });
    for made in admin.create_topics(&new.collect::<Vec<_>>(), &options).await.map_err(|error| context.failed(error))? {
        match made {
            Ok(topic) => tracing::info!(topic, "a topic was made"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => return Err(Error::bus(format!("cannot make the topic {topic}: {error}"))),
        }
    }
    if declare {
        let changes = topics.iter().map(|topic| {
            let change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
            topic.settings.iter().fold(change, |change, (name, value)| change.set(name, value))
        });
        for changed in
            admin.alter_configs(&changes.collect::<Vec<_>>(), &options).await.map_err(|error| context.failed(error))?
        {
            changed.map_err(|(topic, error)| Error::bus(format!("cannot change {topic:?}: {error}")))?;
        }
    }
    Ok(())
}

/// The topics that are not there. A consumer asks: for a producer, brokers may make what it asks about.
pub(crate) fn missing(asking: &Asking, names: &Names) -> KafkaResult<Vec<String>> {
    let mut missing = Vec::new();
    for name in [names.events(), names.marked(), names.dead_letters()] {
        serve(asking);
        let metadata = asking.fetch_metadata(Some(&name), TIMEOUT)?;
        match metadata.topics().iter().find_map(MetadataTopic::error).map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => missing.push(name),
            Some(error) => return Err(KafkaError::MetadataFetch(error)),
        }
    }
    Ok(missing)
}
