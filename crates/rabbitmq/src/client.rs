//! Connections and channels: every wait for the server has an end, and a connection that was lost is made anew by whoever
//! needs it next.
//!
//! The client library's own recovery is off: it would replay consumers that have lost their place in the line.

use std::{future::Future, sync::Arc, time::Duration};

use clock::SharedClock;
use futures::future::try_join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionBuilder, ConnectionProperties, Consumer, Queue,
    options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable},
};
use messaging::Error;
use tokio::{sync::Mutex, time::timeout};

use crate::options::Options;

/// How long the server may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to make a queue or a stream.
const DECLARATION: Duration = Duration::from_secs(30);
/// Bodies that the server takes (`max_message_size` of 4.x; 3.x takes more).
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// Why the server did not do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("RabbitMQ did not answer within {0:?}")]
    Late(Duration),
    #[error("RabbitMQ takes nothing: it is short of memory or disk space")]
    Blocked,
    #[error("RabbitMQ refused a message: a queue is full")]
    Refused,
    #[error("{0} is gone, or has no leader")]
    NoQueue(String),
    #[error(transparent)]
    Client(#[from] lapin::Error),
    #[error("cannot read {0}")]
    File(String, #[source] std::io::Error),
}

impl Failure {
    /// Whether the server said this to what was asked on a channel.
    fn is(&self, soft: &AMQPSoftError) -> bool {
        let Self::Client(error) = self else { return false };
        matches!(error.kind(), lapin::ErrorKind::ProtocolError(said) if *said.kind() == AMQPErrorKind::Soft(soft.clone()))
    }

    /// Whether a queue is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::NoQueue(_)) || self.is(&AMQPSoftError::NOTFOUND)
    }

    /// Whether a queue is somebody else's.
    pub(crate) fn is_locked(&self) -> bool {
        self.is(&AMQPSoftError::RESOURCELOCKED)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::bus(failure)
    }
}

/// Waits for the server, but not for ever.
pub(crate) async fn limited<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Failure> {
    within(TIMEOUT, asked).await
}

/// The same for a queue or a stream that is made: on a busy server, many at once take their time, and who gives up makes all the
/// others again with the next try, which then takes as long.
pub(crate) async fn made<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Failure> {
    within(DECLARATION, asked).await
}

async fn within<T>(limit: Duration, asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Failure> {
    timeout(limit, asked).await.map_err(|_| Failure::Late(limit))?.map_err(Failure::from)
}

/// How a server is reached.
pub(crate) struct Client {
    pub(crate) options: Options,
    pub(crate) clock: SharedClock,
}

impl Client {
    /// Connects to the first of the servers that answers.
    pub(crate) async fn connect(&self, name: &str) -> Result<Connection, Failure> {
        let mut failure = Failure::Late(TIMEOUT);
        for server in &self.options.servers {
            let properties = ConnectionProperties::default().with_connection_name(format!("trireme {name}").into());
            let builder = ConnectionBuilder::new()?.with_uri(server.clone()).with_properties(properties);
            match limited(builder.with_tls_config(self.tls()?).connect()).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn tls(&self) -> Result<OwnedTLSConfig, Failure> {
        let read = |file: &std::path::PathBuf| {
            std::fs::read_to_string(file).map_err(|error| Failure::File(file.display().to_string(), error))
        };
        Ok(OwnedTLSConfig { identity: None, cert_chain: self.options.authority.as_ref().map(read).transpose()? })
    }
}

/// One connection, made anew where it was lost.
pub(crate) struct Link {
    pub(crate) client: Arc<Client>,
    name: String,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    pub(crate) fn new(client: Arc<Client>, name: &str) -> Self {
        Self { client, name: name.to_owned(), current: Mutex::default() }
    }

    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(Arc::clone(connection));
        }
        *current = None;
        let connection = Arc::new(self.client.connect(&self.name).await?);
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// A new channel.
    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        let connection = self.connection().await?;
        let channel = limited(connection.create_channel()).await;
        if channel.is_err() {
            // One that answers nothing any more is not used again.
            *self.current.lock().await = None;
        }
        channel
    }

    /// A new channel on which the server confirms what it has stored.
    pub(crate) async fn confirming(&self) -> Result<Publisher, Failure> {
        let (connection, channel) = (self.connection().await?, self.channel().await?);
        limited(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Publisher { connection, channel })
    }

    pub(crate) async fn close(&self) {
        if let Some(connection) = self.current.lock().await.take() {
            close(&connection).await;
        }
    }
}

/// Says good-bye; one that is lost is closed by the server.
pub(crate) async fn close(connection: &Connection) {
    if let Err(error) = limited(connection.close(200, "bye".into())).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the connection to RabbitMQ was closed before");
    }
}

/// A channel on which the server confirms what it has stored.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel,
}

impl Publisher {
    pub(crate) fn works(&self) -> bool {
        self.channel.status().connected() && self.connection.status().connected()
    }

    /// Whether both are one channel.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection) && self.channel.id() == other.channel.id()
    }

    /// Sends a message to a queue and waits until it is stored there.
    pub(crate) async fn store(&self, queue: &str, body: &[u8], properties: BasicProperties) -> Result<(), Failure> {
        if self.connection.status().blocked() {
            return Err(Failure::Blocked);
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let stored =
            async { self.channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await };
        match limited(stored).await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => Err(Failure::NoQueue(queue.to_owned())),
            Ok(Confirmation::Nack(_) | Confirmation::NotRequested) => Err(Failure::Refused),
            Err(Failure::Late(_)) if self.connection.status().blocked() => Err(Failure::Blocked),
            Err(failure) => Err(failure),
        }
    }
}

/// Consumes a queue, with so many messages on their way.
pub(crate) async fn consume(
    channel: &Channel,
    queue: &str,
    prefetch: u16,
    arguments: FieldTable,
) -> Result<Consumer, Failure> {
    limited(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let options = BasicConsumeOptions::default();
    limited(channel.basic_consume(queue.into(), "".into(), options, arguments)).await
}

/// Looks at a queue; where it is missing the channel is closed.
pub(crate) async fn look(channel: &Channel, queue: &str) -> Result<Queue, Failure> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    limited(channel.queue_declare(queue.into(), options, FieldTable::default())).await
}

/// Declares queues that outlive the server.
pub(crate) async fn declare(
    channel: &Channel,
    queues: impl IntoIterator<Item = (String, FieldTable)>,
) -> Result<(), Failure> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = queues.into_iter().map(|(name, arguments)| async move {
        made(channel.queue_declare(name.as_str().into(), options, arguments)).await.map(drop)
    });
    try_join_all(declared).await.map(drop)
}

/// What a queue is declared or consumed with.
pub(crate) fn table<const N: usize>(arguments: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}
