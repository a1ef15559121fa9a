//! What the bus, its groups and its tails use: the settings, a producer, and the topics behind them.

use clock::SharedClock;
use messaging::{Error, Event};
use rdkafka::{
    ClientConfig,
    admin::AdminClient,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::FutureRecord,
};
use tokio::sync::OnceCell;

use crate::{
    blocking::TIMEOUT,
    logging::{Logging, Producer},
    names::Names,
    options::Options,
    topics,
};

/// A connection to Kafka.
pub(crate) struct Connection {
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) producer: Producer,
    declare: bool,
    declared: OnceCell<()>,
}

impl Connection {
    pub(crate) fn new(options: Options, declare: bool, clock: SharedClock) -> Result<Self, Error> {
        let producer = create(&options.producer())?;
        Ok(Self { options, clock, producer, declare, declared: OnceCell::new() })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.options.names
    }

    /// The topic that an event is of.
    pub(crate) fn topic_of(&self, event: &Event) -> String {
        if event.carrier.canary { self.names().marked() } else { self.names().events() }
    }

    /// Makes sure, once, that the topics are there.
    pub(crate) async fn ensure(&self) -> Result<(), Error> {
        let declare = || async {
            let admin: AdminClient<Logging> = create(&self.options.client())?;
            topics::declare(&admin, self.names(), &self.options.limits, self.declare).await
        };
        self.declared.get_or_try_init(declare).await.copied()
    }

    /// Stores one record and waits until it is stored; without an event it takes back what stands under the key.
    pub(crate) async fn store(
        &self,
        topic: &str,
        key: &str,
        event: Option<&Event>,
        headers: OwnedHeaders,
    ) -> Result<(), Error> {
        let mut record = FutureRecord::<str, [u8]>::to(topic).key(key).headers(headers);
        if let Some(event) = event {
            record = record.payload(&event.data[..]);
        }
        match self.producer.send(record, TIMEOUT).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(refusal(event, error)),
        }
    }
}

/// Why a record was not stored: for ever, or for now.
fn refusal(event: Option<&Event>, error: KafkaError) -> Error {
    let too_large = [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::InvalidMessageSize];
    match (event, error.rdkafka_error_code()) {
        (Some(event), Some(code)) if too_large.contains(&code) => {
            Error::Rejected { id: event.id, reason: error.to_string() }
        }
        _ => Error::bus(error),
    }
}

/// Makes a client; connects in the background.
pub(crate) fn create<T: FromClientConfigAndContext<Logging>>(config: &ClientConfig) -> Result<T, Error> {
    config.create_with_context(Logging).map_err(|error| Error::Address(error.to_string()))
}
