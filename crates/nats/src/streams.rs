//! The streams: declared where they are missing, left to the operator where they are there.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, Placement, StorageType, Stream},
};
use messaging::Error;
use tokio::sync::Mutex;

use super::names::Names;

/// How long dead letters and events are kept where the URL does not say: shorter than inboxes remember.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// How many dead letters there may be. Where there are so many, what fails is tried on, and waits until somebody replays some:
/// an outage that looks like bad events neither fills the disk nor loses them.
const DEAD_LETTERS: i64 = 100_000;
/// How long the server recognises a repetition: a relay repeats a batch within its time limit and pauses, 15 s.
const DUPLICATES: Duration = Duration::from_mins(5);

/// The server forgets a stream before it moves the stream's folder away (2.15: `fileStore.Delete`): one declared in between
/// loses its folder, and takes nothing until the server is restarted.
const REMOVAL: Duration = Duration::from_secs(2);

/// What a stream is declared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Copies of each stream; three need a cluster.
    pub(crate) replicas: usize,
    /// Bytes of all events; a stream of this size refuses more.
    pub(crate) max_bytes: Option<i64>,
    /// How long events are kept.
    pub(crate) max_age: Duration,
    /// Where the stream is placed.
    pub(crate) placement: Option<Placement>,
}

/// The streams of a bus.
pub(crate) struct Streams {
    pub(crate) context: Context,
    pub(crate) names: Names,
    pub(crate) limits: Limits,
    /// Whether streams that are there already are brought to `limits`.
    pub(crate) declare: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    streams: Option<Arc<Declared>>,
    /// Whether they were there once: whoever does not find them then has lost events.
    before: bool,
}

/// Both streams as they are on the server.
pub(crate) struct Declared {
    pub(crate) events: Stream,
    pub(crate) dead_letters: Stream,
}

impl Streams {
    pub(crate) fn new(context: Context, names: Names, limits: Limits, declare: bool) -> Self {
        Self { context, names, limits, declare, known: Mutex::default() }
    }

    /// The streams, looked up or declared by the first who needs them.
    pub(crate) async fn get(&self) -> Result<Arc<Declared>, Error> {
        let mut known = self.known.lock().await;
        if let Some(streams) = &known.streams {
            return Ok(Arc::clone(streams));
        }
        let events = Config { subjects: self.names.all_events(), ..self.config(self.names.events()) };
        let dead = Config {
            subjects: vec![self.names.all_dead_letters()],
            max_age: Duration::ZERO,
            max_messages: DEAD_LETTERS,
            duplicate_window: Duration::from_mins(2),
            ..self.config(self.names.dead_letters())
        };
        let streams = Declared {
            events: self.declared(events, known.before).await?,
            dead_letters: self.declared(dead, known.before).await?,
        };
        let streams = Arc::new(streams);
        *known = Known { streams: Some(Arc::clone(&streams)), before: true };
        Ok(streams)
    }

    /// Looks for the streams again when they are needed next, because one was not found.
    pub(crate) async fn forget(&self) {
        self.known.lock().await.streams = None;
    }

    async fn declared(&self, config: Config, before: bool) -> Result<Stream, Error> {
        let name = config.name.clone();
        if self.declare {
            self.context.create_or_update_stream(config).await.map_err(|error| refused(&name, error))?;
            return self.context.get_stream(&name).await.map_err(Error::bus);
        }
        match self.context.get_stream(&name).await {
            Ok(stream) => Ok(stream),
            Err(error) if is_missing(&error.kind()) => {
                if before {
                    tracing::error!(
                        stream = name,
                        "the stream is gone, and with it what no group has read; it is declared again"
                    );
                    tokio::time::sleep(REMOVAL).await;
                }
                self.context.create_stream(config).await.map_err(|error| refused(&name, error))
            }
            Err(error) => Err(Error::bus(error)),
        }
    }

    /// On disk, never more than there is room for: a full stream refuses what is new, and outboxes keep it.
    fn config(&self, name: String) -> Config {
        Config {
            name,
            storage: StorageType::File,
            num_replicas: self.limits.replicas,
            max_bytes: self.limits.max_bytes.unwrap_or(-1),
            max_age: self.limits.max_age,
            duplicate_window: DUPLICATES.min(self.limits.max_age),
            placement: self.limits.placement.clone(),
            discard: DiscardPolicy::New,
            allow_direct: true,
            ..Config::default()
        }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Says what an operator has to do, because the server's words do not.
fn refused(name: &str, error: impl std::fmt::Display) -> Error {
    Error::bus(format!(
        "stream {name} cannot be declared ({error}): let this account create it, give its limits in bus.url \
         (max_bytes, max_age, replicas, cluster, tags), or create it yourself as the README of crates/nats says"
    ))
}
