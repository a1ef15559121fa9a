//! What the client library says, as lines of our own.

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::FutureProducer,
};

/// The context of clients that are no members of a group.
#[derive(Clone, Copy)]
pub(crate) struct Logging;

pub(crate) type Producer = FutureProducer<Logging>;
pub(crate) type Asking = BaseConsumer<Logging>;
pub(crate) type Reading = StreamConsumer<Logging>;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, "Kafka's client: {message}");
            }
            _ => tracing::warn!(facility, "Kafka's client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Of brokers that are away, each lost connection has been told, with its cause.
        let away = [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::BrokerTransportFailure];
        if error.rdkafka_error_code().is_some_and(|code| away.contains(&code)) {
            tracing::debug!(%error, reason, "Kafka's client");
        } else {
            tracing::warn!(%error, reason, "Kafka's client");
        }
    }
}

impl ConsumerContext for Logging {}
