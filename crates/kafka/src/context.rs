//! What clients of one connection have in common: where their lines go, the token that they log in with, and what the
//! library last said of a connection.

use std::{
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use messaging::Error;
use rdkafka::{
    ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::FutureProducer,
};

use crate::token::TokenFile;

/// What was said longer ago than this explains no failure of now. The library tells the same thing again every 30 s.
const TELLING: Duration = Duration::from_mins(1);

/// The context of clients that are no members of a group.
#[derive(Clone, Default)]
pub(crate) struct Context(Arc<Shared>);

#[derive(Default)]
struct Shared {
    token: Option<TokenFile>,
    /// What the library last said of a connection, and when.
    trouble: Mutex<Option<(Instant, String)>>,
}

pub(crate) type Producer = FutureProducer<Context>;
pub(crate) type Asking = BaseConsumer<Context>;
pub(crate) type Reading = StreamConsumer<Context>;

impl Context {
    pub(crate) fn new(token: Option<TokenFile>) -> Self {
        Self(Arc::new(Shared { token, trouble: Mutex::default() }))
    }

    /// What a call has failed of: a call that had no connection only says that it has waited.
    pub(crate) fn failed(&self, error: KafkaError) -> Error {
        let causes = [
            RDKafkaErrorCode::AllBrokersDown,
            RDKafkaErrorCode::Authentication,
            RDKafkaErrorCode::BrokerTransportFailure,
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::OperationTimedOut,
            RDKafkaErrorCode::SSL,
            RDKafkaErrorCode::WaitingForCoordinator,
        ];
        let trouble = || {
            let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.as_ref().filter(|(since, _)| since.elapsed() < TELLING).map(|(_, said)| said.clone())
        };
        let code = match &error {
            KafkaError::AdminOp(code) => Some(*code),
            error => error.rdkafka_error_code(),
        };
        let is_of_a_connection = code.is_some_and(|code| causes.contains(&code));
        match is_of_a_connection.then(trouble).flatten() {
            Some(trouble) => Error::bus(format!("{error}: {trouble}")),
            None => Error::bus(error),
        }
    }

    fn note(&self, trouble: &str) {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), trouble.to_owned()));
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, "Kafka's client: {message}");
            }
            _ => tracing::warn!(facility, "Kafka's client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.note(reason);
        }
        // Of brokers that are away, each lost connection has been told, with its cause.
        let away = [RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::BrokerTransportFailure];
        if code.is_some_and(|code| away.contains(&code)) {
            tracing::debug!(%error, reason, "Kafka's client");
        } else {
            tracing::warn!(%error, reason, "Kafka's client");
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        let token = self.0.token.as_ref().ok_or("no `token_file` in the URL of the bus")?;
        // The library tells it as an error, but only once where it stays the same.
        Ok(token.read().inspect_err(|error| self.note(&error.to_string()))?)
    }
}

impl ConsumerContext for Context {}

/// Takes what the client library reports, which nobody else does, and gives it the token that it may ask for.
pub(crate) fn serve(consumer: &Asking) {
    while consumer.poll(Duration::ZERO).is_some() {}
}
