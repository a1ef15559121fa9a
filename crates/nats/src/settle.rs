//! Telling the server what became of an event (NATS ADR-13).

use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use messaging::Error;

use super::connection::Connection;

/// What the server is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement {
    /// Done.
    Ack,
    /// To be delivered again after a while.
    Nak(Duration),
    /// Still being worked on.
    Progress,
    /// Never to be delivered again.
    Term,
}

impl Settlement {
    fn body(self) -> Bytes {
        match self {
            Self::Ack => Bytes::from_static(b"+ACK"),
            Self::Nak(Duration::ZERO) => Bytes::from_static(b"-NAK"),
            Self::Nak(delay) => format!("-NAK {{\"delay\": {}}}", delay.as_nanos()).into(),
            Self::Progress => Bytes::from_static(b"+WPI"),
            Self::Term => Bytes::from_static(b"+TERM"),
        }
    }

    /// Tells the server and waits until it has taken it.
    pub(crate) async fn confirmed(self, connection: &Connection, reply: Subject) -> Result<(), Error> {
        connection.client.request(reply, self.body()).await.map(drop).map_err(Error::bus)
    }

    /// Tells the server; lost, the event comes again by itself.
    pub(crate) async fn sent(self, connection: &Connection, reply: Subject) {
        if let Err(error) = connection.client.publish(reply, self.body()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the connection to NATS is closed");
        }
    }
}
