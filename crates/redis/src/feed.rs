//! A subscription on a connection of its own, which says when messages may have been missed.

use std::{sync::Weak, time::Duration};

use futures::StreamExt as _;
use redis_rs::aio::PubSub;
use resilience::{Backoff, Outage};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{Client, Error};

/// How often a feed publishes a message to itself.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Two heartbeats that did not come end the connection.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The limit of one attempt to connect and subscribe.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two attempts to connect.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// What a [`Feed`] delivers to.
pub trait Subscriber: Send + Sync + 'static {
    /// A message was published. It must not block.
    fn on_message(&self, channel: &str, message: &[u8]);

    /// From now on every message is delivered; those published before may have been missed.
    fn on_connected(&self);

    /// From now on messages may be missed.
    fn on_disconnected(&self, cause: Disconnected);
}

/// Why a feed lost its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnected {
    /// The server closed the connection, or the network did.
    #[error("the connection was closed")]
    Closed,
    /// The connection is open, but the feed's own heartbeats do not come back.
    #[error("no heartbeat within {HEARTBEAT_TIMEOUT:?}")]
    Silent,
}

/// A subscription that lasts until it is dropped.
#[derive(Debug)]
pub struct Feed {
    _stop: DropGuard,
}

impl Feed {
    /// Subscribes to `channel` in the background, now and whenever the connection is lost, until `stop`.
    pub fn start(
        client: &Client,
        channel: String,
        subscriber: Weak<dyn Subscriber>,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let stop = stop.child_token();
        let heartbeat = format!("{}:beat:{:032x}", client.prefix(), rand::random::<u128>());
        let subscription = Subscription { client: client.clone(), channel, heartbeat, subscriber };
        let _detached = tracker.spawn(stop.clone().run_until_cancelled_owned(subscription.run()));
        Self { _stop: stop.drop_guard() }
    }
}

struct Subscription {
    client: Client,
    channel: String,
    /// A channel of this feed's own: what is published there comes back to nobody else.
    heartbeat: String,
    subscriber: Weak<dyn Subscriber>,
}

impl Subscription {
    /// Connects again and again, as long as there is a subscriber.
    async fn run(self) {
        self.client.warm_up().await;
        let (mut attempts, mut failures, outage) = (0, 0, Outage::default());
        loop {
            let connected = match self.connect(attempts).await {
                Ok(connection) => self.deliver(connection).await,
                Err(error) => Err(error),
            };
            if self.subscriber.strong_count() == 0 {
                return;
            }
            attempts += 1;
            failures = match connected {
                Ok(()) => {
                    if let Some(failures) = outage.ended() {
                        tracing::info!(channel = self.channel, failures, "redis subscription was there again");
                    }
                    0
                }
                Err(error) => {
                    if let Some(failures) = outage.failed() {
                        let (channel, error): (_, &dyn std::error::Error) = (&*self.channel, &error);
                        tracing::warn!(channel, error, failures, "redis subscription failed; retrying");
                    }
                    failures + 1
                }
            };
            sleep(BACKOFF.delay(failures)).await;
        }
    }

    /// Subscribes at one server after the other: in a cluster any of them has all messages.
    async fn connect(&self, attempts: usize) -> Result<PubSub, Error> {
        let servers = &self.client.0.config.servers;
        let connecting = async {
            let client = redis_rs::Client::open(servers[attempts % servers.len()].clone())?;
            let mut connection = client.get_async_pubsub().await?;
            connection.subscribe(&self.channel).await?;
            connection.subscribe(&self.heartbeat).await?;
            Ok(connection)
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|elapsed| Err(Error::NoConnection(elapsed.into())))
    }

    /// Delivers messages until some may be missing; an error says that the feed never was connected.
    async fn deliver(&self, mut connection: PubSub) -> Result<(), Error> {
        let mut messages = connection.on_message();
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heartbeat: Option<Instant> = None;
        let started = Instant::now();
        let cause = loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = ticks.tick() => {
                    if last_heartbeat.unwrap_or(started).elapsed() > HEARTBEAT_TIMEOUT {
                        break Disconnected::Silent;
                    }
                    // One that cannot be sent is one that does not come.
                    let _ = timeout(HEARTBEAT / 2, self.client.publish(&self.heartbeat, b"")).await;
                    continue;
                }
            };
            let Some(message) = message else { break Disconnected::Closed };
            let Some(subscriber) = self.subscriber.upgrade() else { return Ok(()) };
            if message.get_channel_name() != self.heartbeat {
                subscriber.on_message(message.get_channel_name(), message.get_payload_bytes());
            } else if last_heartbeat.replace(Instant::now()).is_none() {
                // Only now: a subscription that was confirmed does not prove that this server hears the others.
                subscriber.on_connected();
            }
        };
        if last_heartbeat.is_none() {
            return Err(Error::NoConnection(cause.into()));
        }
        if let Some(subscriber) = self.subscriber.upgrade() {
            subscriber.on_disconnected(cause);
        }
        Ok(())
    }
}
