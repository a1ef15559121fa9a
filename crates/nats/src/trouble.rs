//! What the client last said of its connection: a call that had none only says that it has waited.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::Event;
use messaging::Error;

/// What was said longer ago than this explains no failure of now. The client tries again every 2 s, and tells each failure.
const TELLING: Duration = Duration::from_mins(1);

/// What the client last said, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<(Instant, String)>>>);

/// Why there was no connection, above what a call says of it.
#[derive(Debug, thiserror::Error)]
#[error("{connection}")]
struct Unconnected {
    connection: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the client says.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Connected => *self.lock() = None,
            Event::ServerError(_) | Event::ClientError(_) => *self.lock() = Some((Instant::now(), event.to_string())),
            _ => {}
        }
    }

    /// What was said a while ago at most.
    pub(crate) fn told(&self) -> Option<String> {
        self.lock().as_ref().filter(|(since, _)| since.elapsed() < TELLING).map(|(_, told)| told.clone())
    }

    /// The failure of a call, with what it was for.
    pub(crate) fn explains(&self, failure: Error) -> Error {
        match (failure, self.told()) {
            (Error::Unavailable { what, source }, Some(connection)) => {
                Error::Unavailable { what, source: Box::new(Unconnected { connection, source }) }
            }
            (failure, _) => failure,
        }
    }
}
