//! What the bus and its subscriptions use: the connection, and the streams behind it.

use std::sync::atomic::Ordering;

use async_nats::{
    Client, HeaderMap,
    connection::State,
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
    },
};
use clock::SharedClock;
use messaging::{Error, Event};

use super::{names::Names, streams::Streams, trouble::Trouble};

/// A connection to NATS.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) clock: SharedClock,
    pub(crate) streams: Streams,
    pub(crate) trouble: Trouble,
}

impl Connection {
    pub(crate) fn names(&self) -> &Names {
        &self.streams.names
    }

    /// How often the connection was made.
    pub(crate) fn count(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// What came of a call; where there is no connection, with why.
    pub(crate) fn explained<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        answer.map_err(|failure| if self.is_open() { failure } else { self.trouble.explains(failure) })
    }

    /// Whether calls need not wait for a connection.
    pub(crate) fn is_open(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Stores one message and waits until it is stored.
    pub(crate) async fn store(&self, subject: String, event: &Event, headers: HeaderMap) -> Result<(), Error> {
        let stored = self.streams.context.publish_with_headers(subject, headers, event.data.clone()).await;
        let stored = match stored {
            Ok(stored) => stored.await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refusal(event, error).await),
        }
    }

    /// Why a message was not stored: for ever, or for now.
    async fn refusal(&self, event: &Event, error: PublishError) -> Error {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Error::Rejected { id: event.id, reason: error.to_string() },
            _ if is_too_large(&error) => Error::Rejected { id: event.id, reason: error.to_string() },
            PublishErrorKind::StreamNotFound => {
                // Recreated or gone: looked for, and declared again where it is missing, with the next try.
                self.streams.forget().await;
                Error::bus(error)
            }
            _ => Error::bus(error),
        }
    }
}

/// Whether the stream takes no message of that size, or with headers of that size (`max_msg_size`).
fn is_too_large(error: &PublishError) -> bool {
    let answer = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    let too_large = [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];
    answer.is_some_and(|answer| too_large.contains(&answer.error_code()))
}
