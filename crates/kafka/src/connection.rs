//! What the bus, its groups and its tails use: the settings, a producer, and the topics behind them.

use std::sync::{Arc, Mutex};

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
    blocking::{TIMEOUT, blocking},
    context::{Asking, Context, Producer},
    counted::Counted,
    names::Names,
    options::Options,
    token::TokenFile,
    topics,
};

/// A connection to Kafka.
pub(crate) struct Connection {
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
    pub(crate) context: Context,
    pub(crate) producer: Producer,
    pub(crate) dead_letters: Mutex<Counted>,
    /// Whoever has it counts them.
    pub(crate) counting: tokio::sync::Mutex<()>,
    declare: bool,
    declared: OnceCell<()>,
}

impl Connection {
    pub(crate) fn new(options: Options, declare: bool, clock: SharedClock) -> Result<Self, Error> {
        options.security.is_built_in()?;
        options.security.are_there()?;
        let token = options.security.token_file();
        if declare && token.is_some() {
            let why = "bus.declare = true asks for what a client with a token_file cannot do; the README of crates/kafka \
                says how topics are declared there";
            return Err(Error::Address(why.to_owned()));
        }
        let context = Context::new(token.map(|path| TokenFile::new(path, Arc::clone(&clock))));
        let producer = create(&options.producer(), &context)?;
        let (dead_letters, counting, declared) = (Mutex::default(), tokio::sync::Mutex::default(), OnceCell::new());
        Ok(Self { options, clock, context, producer, dead_letters, counting, declare, declared })
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
            if self.options.security.token_file().is_some() {
                return self.find_topics().await;
            }
            let admin: AdminClient<Context> = self.create(&self.options.client())?;
            topics::declare(&admin, &self.context, self.names(), &self.options.limits, self.declare).await
        };
        self.declared.get_or_try_init(declare).await.copied()
    }

    /// Makes sure that the topics are there, without making any: in the client library, an admin client never asks for a
    /// token.
    async fn find_topics(&self) -> Result<(), Error> {
        let asking: Asking = self.create(self.options.consumer().set("group.id", self.names().events()))?;
        let names = self.names().clone();
        let missing = blocking(&self.context, move || topics::missing(&asking, &names)).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let why = "the README of crates/kafka says how topics are declared for clients with a token_file";
        Err(Error::bus(format!("topics are missing: {}; {why}", missing.join(", "))))
    }

    /// Makes a client; connects in the background.
    pub(crate) fn create<T: FromClientConfigAndContext<Context>>(&self, config: &ClientConfig) -> Result<T, Error> {
        create(config, &self.context)
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
            Err((error, _)) => Err(self.refusal(event, error)),
        }
    }

    /// Why a record was not stored: for ever, or for now.
    fn refusal(&self, event: Option<&Event>, error: KafkaError) -> Error {
        let too_large = [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::InvalidMessageSize];
        match (event, error.rdkafka_error_code()) {
            (Some(event), Some(code)) if too_large.contains(&code) => {
                Error::Rejected { id: event.id, reason: error.to_string() }
            }
            _ => self.context.failed(error),
        }
    }
}

fn create<T: FromClientConfigAndContext<Context>>(config: &ClientConfig, context: &Context) -> Result<T, Error> {
    config.create_with_context(context.clone()).map_err(|error| Error::Address(error.to_string()))
}
