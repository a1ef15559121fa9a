//! Dead letters: a stream with one message for each, and what brings it back.

use async_nats::HeaderMap;
use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull::OrderedConfig},
    stream::LastRawMessageErrorKind,
};
use bytes::Bytes;
use futures::StreamExt as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{
    bus::{Shared, Streams},
    message,
    names::part_of,
};
use crate::{Cause, DeadLetter, Error, Event, Reason};

const GROUP: &str = "dead-group";
const ATTEMPTS: &str = "dead-attempts";
const CAUSE: &str = "dead-cause";
/// A JSON string: one line, whatever the error said.
const DETAIL: &str = "dead-detail";
const AT: &str = "dead-at";
/// An error that says more than this says too much.
const LONGEST: usize = 4_000;

/// Stores a letter; twice is once.
pub(super) async fn bury(
    shared: &Shared,
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
    headers.insert(AT, clock::rfc3339(shared.clock.now()));
    shared.store(shared.names.letter(group, event.id), event, headers).await
}

/// The letters of a group or of all, oldest first.
pub(super) async fn list(
    shared: &Shared,
    streams: &Streams,
    group: Option<&str>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let config = OrderedConfig {
        filter_subject: shared.names.letters(group),
        deliver_policy: DeliverPolicy::All,
        ..OrderedConfig::default()
    };
    let consumer = streams.dead.create_consumer(config).await.map_err(Error::bus)?;
    let count = usize::try_from(consumer.cached_info().num_pending).unwrap_or(usize::MAX).min(limit);
    let messages = consumer.messages().await.map_err(Error::bus)?;
    let mut letters = Vec::new();
    let mut messages = messages.take(count);
    while let Some(message) = messages.next().await {
        let message = message.map_err(Error::bus)?.message;
        letters.push(letter(message.headers.as_ref(), message.payload)?);
    }
    Ok(letters)
}

fn letter(headers: Option<&HeaderMap>, data: Bytes) -> Result<DeadLetter, Error> {
    let text =
        |name| message::text(headers, name).ok_or_else(|| Error::Malformed(format!("a dead letter without {name}")));
    let bad = |name: &str| Error::Malformed(format!("a dead letter with a bad {name}"));
    Ok(DeadLetter {
        group: text(GROUP)?.to_owned(),
        event: message::event(headers, data)?,
        attempts: text(ATTEMPTS)?.parse().map_err(|_| bad(ATTEMPTS))?,
        replays: message::replays(headers),
        reason: Reason {
            cause: Cause::parse(text(CAUSE)?).ok_or_else(|| bad(CAUSE))?,
            detail: serde_json::from_str(text(DETAIL)?).map_err(|_| bad(DETAIL))?,
        },
        dead_at: OffsetDateTime::parse(text(AT)?, &Rfc3339).map_err(|_| bad(AT))?,
    })
}

/// Publishes a letter's event for its group alone, then removes the letter. Who removes it has replayed it.
pub(super) async fn replay(shared: &Shared, streams: &Streams, group: &str, id: Uuid) -> Result<(), Error> {
    let none = || Error::NoDeadLetter { group: group.to_owned(), event: id };
    let subject = shared.names.letter(group, id);
    let found = streams.dead.get_last_raw_message_by_subject(&subject).await.map_err(|error| match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => none(),
        _ => Error::bus(error),
    })?;
    let letter = letter(Some(&found.headers), found.payload)?;
    let replays = letter.replays + 1;
    // Known to the server under this name for a while, so that two who replay at once publish once.
    let mut headers = message::headers(&letter.event, &format!("{id}.{group}.{replays}"))?;
    message::set_replays(&mut headers, replays);
    let again = shared.names.replay(Some(part_of(&letter.event)), group);
    shared.store(again, &letter.event, headers).await?;
    match streams.dead.delete_message(found.sequence).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(none()),
        Err(error) => {
            let gone = streams.dead.get_last_raw_message_by_subject(&subject).await;
            let gone = gone.is_err_and(|error| error.kind() == LastRawMessageErrorKind::NoMessageFound);
            Err(if gone { none() } else { Error::bus(error) })
        }
    }
}
