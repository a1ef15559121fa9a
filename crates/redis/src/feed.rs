//! Messages from a connection of its own, with word of it when some may have been missed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::StreamExt as _;
use redis_rs::{Client, aio::PubSub};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Error, Redis};

/// How often the feed sends itself a message; two that are missing end it.
const BEAT: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_millis(2_500);
/// The limit of one step of connecting.
const PATIENCE: Duration = Duration::from_secs(1);
/// The shortest and the longest pause between two tries to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Hears what a feed says.
pub trait Ear: Send + Sync + 'static {
    /// A message came. It must not block.
    fn hears(&self, channel: &str, message: &[u8]);

    /// From now on every message comes; those sent before may have been missed.
    fn begins(&self);

    /// From now on messages may be missed.
    fn breaks(&self);
}

/// A subscription that lasts until it is dropped.
#[derive(Debug)]
pub struct Feed {
    _stop: tokio_util::sync::DropGuard,
}

impl Feed {
    /// Subscribes to `channels` in the background, now and whenever the connection is lost, until `stop`.
    pub fn start(
        redis: &Redis,
        channels: Vec<String>,
        ear: Weak<dyn Ear>,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let stop = stop.child_token();
        let follow = follow(redis.clone(), channels, ear);
        let _detached = tracker.spawn(stop.clone().run_until_cancelled_owned(follow));
        Self { _stop: stop.drop_guard() }
    }
}

async fn follow(redis: Redis, channels: Vec<String>, ear: Weak<dyn Ear>) {
    redis.warm_up().await;
    let beat = format!("{}:beat:{:032x}", redis.prefix(), rand::random::<u128>());
    let (mut pause, mut tries, mut said) = (PAUSE.0, 0, false);
    loop {
        let heard = match connect(&redis, &channels, &beat, tries).await {
            Ok(feed) => hear(&redis, feed, &beat, &ear).await,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                if said {
                    tracing::debug!(%error, cause, "no feed from redis");
                } else {
                    tracing::warn!(%error, cause, "no feed from redis; it is tried again and again");
                }
                said = true;
                false
            }
        };
        if ear.strong_count() == 0 {
            return;
        }
        tries += 1;
        said &= !heard;
        pause = if heard { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
    }
}

async fn connect(redis: &Redis, channels: &[String], beat: &str, tries: usize) -> Result<PubSub, Error> {
    let servers = &redis.0.address.servers;
    let connecting = async {
        let client = Client::open(servers[tries % servers.len()].clone())?;
        let mut feed = client.get_async_pubsub().await?;
        for channel in channels {
            feed.subscribe(channel).await?;
        }
        feed.subscribe(beat).await?;
        Ok(feed)
    };
    timeout(PATIENCE, connecting).await.unwrap_or_else(|elapsed| Err(Error::NoConnection(elapsed.into())))
}

/// Passes messages on until some may be missing; says whether there were any.
async fn hear(redis: &Redis, mut feed: PubSub, beat: &str, ear: &Weak<dyn Ear>) -> bool {
    let mut messages = feed.on_message();
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_beat: Option<Instant> = None;
    let started = Instant::now();
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = ticks.tick() => {
                if last_beat.unwrap_or(started).elapsed() > SILENCE {
                    break;
                }
                // One that cannot be sent is one that does not come.
                let _ = timeout(PATIENCE / 2, redis.publish(beat, b"")).await;
                continue;
            }
        };
        let (Some(message), Some(ear)) = (message, ear.upgrade()) else { break };
        if message.get_channel_name() != beat {
            ear.hears(message.get_channel_name(), message.get_payload_bytes());
        } else if last_beat.replace(Instant::now()).is_none() {
            tell(&ear, true);
        }
    }
    if last_beat.is_some()
        && let Some(ear) = ear.upgrade()
    {
        tell(&ear, false);
    }
    last_beat.is_some()
}

fn tell(ear: &Arc<dyn Ear>, whole: bool) {
    if whole {
        tracing::info!("the feed from redis is whole");
        ear.begins();
    } else {
        tracing::warn!("the feed from redis broke");
        ear.breaks();
    }
}
