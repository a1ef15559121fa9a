//! Dead letters: a stream with one message for each, and what brings it back.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{
    consumer::{AckPolicy, Consumer, pull},
    message::StreamMessage,
    stream::LastRawMessageErrorKind,
};
use bytes::Bytes;
use futures::StreamExt as _;

use uuid::Uuid;

use messaging::{Cause, DeadLetter, Error, Event, Reason, Resolution};

use super::{connection::Connection, message, names};

const GROUP: &str = "dead-group";
const ATTEMPTS: &str = "dead-attempts";
const CAUSE: &str = "dead-cause";
/// A JSON string: one line, whatever the error said.
const DETAIL: &str = "dead-detail";
const AT: &str = "dead-at";
/// When the server forgets the consumer of somebody who has gone away while listing.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// An error that says more than this says too much.
const LONGEST: usize = 4_000;

/// Stores a dead letter; twice is once.
pub(crate) async fn store(
    connection: &Connection,
    group: &str,
    event: &Event,
    (attempts, replays): (u32, u32),
    reason: &Reason,
) -> Result<(), Error> {
    let mut headers = message::headers(event, &format!("dead.{group}.{}.{replays}", event.id))?;
    message::set_replays(&mut headers, replays);
    headers.insert(GROUP, group);
    headers.insert(ATTEMPTS, attempts.to_string());
    headers.insert(CAUSE, reason.cause.as_str());
    let detail: String = reason.detail.chars().take(LONGEST).collect();
    headers.insert(DETAIL, serde_json::to_string(&detail).map_err(Error::Encode)?);
    headers.insert(AT, clock::rfc3339(connection.clock.now()));
    match connection.store(connection.names().dead_letter(group, event.id), event, headers).await {
        Err(Error::Unavailable { .. }) if is_full(connection).await => Err(Error::NoRoom),
        stored => stored,
    }
}

/// The server has one code for all that a stream does not store.
async fn is_full(connection: &Connection) -> bool {
    let Ok(streams) = connection.streams.get().await else { return false };
    let info = streams.dead_letters.get_info().await;
    info.is_ok_and(|info| {
        u64::try_from(info.config.max_messages).is_ok_and(|most| most > 0 && info.state.messages >= most)
    })
}

/// The dead letters of a group or of all, oldest first.
pub(crate) async fn list(connection: &Connection, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let consumer = consumer(connection, group).await?;
    let dead_letters = read(&consumer, limit).await;
    forget(connection, &consumer).await?;
    dead_letters
}

/// How many dead letters a group has: without any of anybody's, one request.
pub(crate) async fn count(connection: &Connection, group: &str) -> Result<u64, Error> {
    let streams = connection.streams.get().await?;
    if streams.dead_letters.get_info().await.map_err(Error::bus)?.state.messages == 0 {
        return Ok(0);
    }
    let consumer = consumer(connection, Some(group)).await?;
    forget(connection, &consumer).await?;
    Ok(consumer.cached_info().num_pending)
}

async fn consumer(connection: &Connection, group: Option<&str>) -> Result<Consumer<pull::Config>, Error> {
    let config = pull::Config {
        filter_subject: connection.names().group_dead_letters(group),
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN,
        ..pull::Config::default()
    };
    connection.streams.get().await?.dead_letters.create_consumer(config).await.map_err(Error::bus)
}

/// A server takes no more than a thousand consumers of a stream where nothing else is said (2.15).
async fn forget(connection: &Connection, consumer: &Consumer<pull::Config>) -> Result<(), Error> {
    let deleted = connection.streams.get().await?.dead_letters.delete_consumer(&consumer.cached_info().name).await;
    if let Err(error) = deleted {
        tracing::debug!(error = &error as &dyn std::error::Error, "the server forgets the consumer by itself");
    }
    Ok(())
}

/// What is there now.
async fn read(consumer: &Consumer<pull::Config>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let mut messages = consumer.fetch().max_messages(limit).messages().await.map_err(Error::bus)?;
    let mut dead_letters = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| Error::bus(error.to_string()))?.message;
        match dead_letter(message.headers.as_ref(), message.payload) {
            Ok(dead_letter) => dead_letters.push(dead_letter),
            Err(error) => {
                tracing::error!(subject = %message.subject, %error, "a dead letter cannot be read: it is left out");
            }
        }
    }
    Ok(dead_letters)
}

fn dead_letter(headers: Option<&HeaderMap>, data: Bytes) -> Result<DeadLetter, Error> {
    let text =
        |name| message::text(headers, name).ok_or_else(|| Error::Malformed(format!("a dead letter without {name}")));
    let bad = |name: &str| Error::Malformed(format!("a dead letter with a bad {name}"));
    Ok(DeadLetter {
        group: text(GROUP)?.to_owned(),
        event: message::event(headers, data)?,
        attempts: text(ATTEMPTS)?.parse().map_err(|_| bad(ATTEMPTS))?,
        replays: message::replays(headers),
        reason: Reason {
            cause: Cause::parse(text(CAUSE)?),
            detail: serde_json::from_str(text(DETAIL)?).map_err(|_| bad(DETAIL))?,
        },
        dead_at: clock::parse_rfc3339(text(AT)?).ok_or_else(|| bad(AT))?,
    })
}

/// Resolves the dead letters of these events, one after the other.
pub(crate) async fn resolve(
    connection: &Connection,
    group: &str,
    events: &[Uuid],
    resolution: Resolution,
) -> Result<u64, Error> {
    let mut resolved = 0;
    for id in events {
        let subject = connection.names().dead_letter(group, *id);
        let Some(found) = find(connection, &subject).await? else { continue };
        let sequence = found.sequence;
        if resolution == Resolution::Replay {
            replay(connection, group, dead_letter(Some(&found.headers), found.payload)?).await?;
        }
        // Who removes it has resolved it.
        let removed = match connection.streams.get().await?.dead_letters.delete_message(sequence).await {
            Ok(removed) => removed,
            Err(_) if find(connection, &subject).await?.is_none() => false,
            Err(error) => return Err(Error::bus(error)),
        };
        resolved += u64::from(removed);
    }
    Ok(resolved)
}

/// The last dead letter of an event.
async fn find(connection: &Connection, subject: &str) -> Result<Option<StreamMessage>, Error> {
    match connection.streams.get().await?.dead_letters.get_last_raw_message_by_subject(subject).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(Error::bus(error)),
    }
}

/// Publishes a dead letter's event for its group alone.
async fn replay(connection: &Connection, group: &str, dead: DeadLetter) -> Result<(), Error> {
    let replays = dead.replays + 1;
    // Known to the server under this name for a while, so that two who replay at once publish once.
    let mut headers = message::headers(&dead.event, &format!("{}.{group}.{replays}", dead.event.id))?;
    message::set_replays(&mut headers, replays);
    let again = connection.names().replay(names::partition(&dead.event), group);
    connection.store(again, &dead.event, headers).await
}
