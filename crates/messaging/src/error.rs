//! What can go wrong between a service and its bus.

use uuid::Uuid;

/// A failure of the bus, the outbox or the envelope.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus or the store did not answer; the same call may work later.
    #[error("the {what} is unavailable")]
    Unavailable {
        /// Which one: `bus` or `outbox`.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for another dead letter until some are replayed or discarded.
    #[error("there is no room for another dead letter until some are replayed or discarded (trireme dlq --help)")]
    NoRoom,
    /// The bus will not take this event, however often it is offered.
    #[error("event {id} was refused: {reason}")]
    Rejected {
        /// The event.
        id: Uuid,
        /// The bus' reason.
        reason: String,
    },
    /// The lease on a delivery ran out and the delivery is somebody else's now.
    #[error("the lease on this delivery was lost")]
    Lost,
    /// Another relay holds the outbox: what this one did since is not recorded.
    #[error("the outbox is held by another relay")]
    Stale,
    /// The bus' address, or a name on it, is none that it can have.
    #[error("the bus cannot be used: {0}")]
    Address(String),
    /// A value cannot be written as an event's data.
    #[error("cannot encode an event")]
    Encode(#[source] serde_json::Error),
    /// A stored or received event cannot be read.
    #[error("cannot read an event: {0}")]
    Malformed(String),
}

impl Error {
    /// Says that the bus did not do what it was asked to, for now.
    pub fn bus(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { what: "bus", source: source.into() }
    }

    /// Says that the outbox did not do what it was asked to, for now.
    pub fn outbox(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { what: "outbox", source: source.into() }
    }

    /// What telemetry calls it (`error.type`).
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::NoRoom => "no_room",
            Self::Rejected { .. } => "rejected",
            Self::Lost => "lost",
            Self::Stale => "stale",
            Self::Address(_) | Self::Encode(_) | Self::Malformed(_) => "_OTHER",
        }
    }

    /// Whether the same call may work later.
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NoRoom)
    }
}
