//! Dead letters: a queue for each group. Whoever reads it holds the lock, takes everything, and lets it go back with the
//! channel.

use lapin::{
    BasicProperties, Channel,
    options::{BasicAckOptions, BasicGetOptions},
};
use messaging::{Cause, DeadLetter, Error, Event, Reason};

use uuid::Uuid;

use crate::{
    catalogue::{Catalogue, Locked},
    client::{Client, Link, limited, look},
    group::Group,
    message::{self, Headers},
    names,
};

const ATTEMPTS: &str = "dead-attempts";
const REPLAYS: &str = "dead-replays";
const CAUSE: &str = "dead-cause";
const DETAIL: &str = "dead-detail";
const AT: &str = "dead-at";
/// An error that says more than this says too much.
const LONGEST: usize = 4_000;

/// Stores a dead letter.
pub(crate) async fn store(
    group: &Group,
    event: &Event,
    (attempts, replays): (u32, u32),
    reason: &Reason,
) -> Result<(), Error> {
    let detail: String = reason.detail.chars().take(LONGEST).collect();
    let more = [
        (ATTEMPTS, attempts.to_string()),
        (REPLAYS, replays.to_string()),
        (CAUSE, reason.cause.as_str().to_owned()),
        (DETAIL, detail),
        (AT, clock::rfc3339(group.link.client.clock.now())),
    ];
    let id = format!("{}.{replays}", event.id);
    let publisher = group.link.confirming().await?;
    let queue = group.names().dead_letters(&group.name);
    publisher.store(&queue, &event.data, message::of_event(event, &id, &more)).await?;
    Ok(limited(publisher.channel.close(200, "stored".into())).await?)
}

/// A dead letter in its queue.
struct Found {
    dead_letter: DeadLetter,
    id: String,
    tag: u64,
}

/// Takes all dead letters of a group, oldest first; they go back with the channel.
async fn take(channel: &Channel, queue: &str, group: &str) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    while let Some(message) = limited(channel.basic_get(queue.into(), BasicGetOptions::default())).await? {
        let tag = message.delivery_tag;
        match read(group, &message.properties, &message.data) {
            Ok(dead_letter) => {
                let id = message.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
                found.push(Found { dead_letter, id, tag });
            }
            Err(error) => tracing::error!(queue, %error, "a message is no dead letter: it stays where it is"),
        }
    }
    found.sort_by_key(|found| found.dead_letter.dead_at);
    // Stored twice by somebody who did not hear that it was stored.
    found.dedup_by(|one, other| one.id == other.id);
    Ok(found)
}

fn read(group: &str, properties: &BasicProperties, data: &[u8]) -> Result<DeadLetter, Error> {
    let headers = Headers::of(properties);
    let text = |name| headers.text(name).ok_or_else(|| Error::Malformed(format!("a dead letter without {name}")));
    let bad = |name: &str| Error::Malformed(format!("a dead letter with a bad {name}"));
    Ok(DeadLetter {
        group: group.to_owned(),
        event: headers.event(data.to_vec().into())?,
        attempts: text(ATTEMPTS)?.parse().map_err(|_| bad(ATTEMPTS))?,
        replays: text(REPLAYS)?.parse().map_err(|_| bad(REPLAYS))?,
        reason: Reason { cause: Cause::parse(text(CAUSE)?), detail: text(DETAIL)?.to_owned() },
        dead_at: clock::parse_rfc3339(text(AT)?).ok_or_else(|| bad(AT))?,
    })
}

/// How many dead letters a group has, but for those that somebody reads right now.
pub(crate) async fn count(link: &Link, group: &str) -> Result<u64, Error> {
    match look(&link.channel().await?, &link.client.options.names.dead_letters(group)).await {
        Ok(queue) => Ok(queue.message_count().into()),
        Err(failure) if failure.is_missing() => Ok(0),
        Err(failure) => Err(failure.into()),
    }
}

/// The dead letters of a group or of all, oldest first.
pub(crate) async fn list(client: &Client, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let locked = Locked::new(client).await?;
    let listed = listed(&locked, group).await;
    locked.release().await;
    let mut dead_letters = listed?;
    dead_letters.sort_by_key(|dead_letter| dead_letter.dead_at);
    dead_letters.truncate(limit);
    Ok(dead_letters)
}

async fn listed(locked: &Locked<'_>, group: Option<&str>) -> Result<Vec<DeadLetter>, Error> {
    let mut dead_letters = Vec::new();
    for name in locked.catalogue().await?.groups {
        if group.is_none_or(|group| group == name) {
            let publisher = locked.confirming().await?;
            let queue = locked.client.options.names.dead_letters(&name);
            let found = take(&publisher.channel, &queue, &name).await?;
            dead_letters.extend(found.into_iter().map(|found| found.dead_letter));
            limited(publisher.channel.close(200, "read".into())).await?;
        }
    }
    Ok(dead_letters)
}

/// Publishes a dead letter's event for its group alone, then removes the dead letter.
pub(crate) async fn replay(client: &Client, group: &str, id: Uuid) -> Result<(), Error> {
    let locked = Locked::new(client).await?;
    let replayed = replayed(&locked, group, id).await;
    locked.release().await;
    replayed
}

async fn replayed(locked: &Locked<'_>, group: &str, id: Uuid) -> Result<(), Error> {
    let none = || Error::NoDeadLetter { group: group.to_owned(), event: id };
    let Catalogue { groups, partitions, .. } = locked.catalogue().await?;
    let names = &locked.client.options.names;
    if !groups.contains(group) {
        return Err(none());
    }
    let publisher = locked.confirming().await?;
    let found = take(&publisher.channel, &names.dead_letters(group), group).await?;
    // Given up again after a replay that was not taken out of the queue: the last counts.
    let Some(found) = found.into_iter().rfind(|found| found.dead_letter.event.id == id) else { return Err(none()) };
    let event = &found.dead_letter.event;
    let stream = names.events(names::partition(event, partitions));
    let properties = message::of_replay(event, group, found.dead_letter.replays + 1);
    publisher.store(&stream, &event.data, properties).await?;
    limited(publisher.channel.basic_ack(found.tag, BasicAckOptions::default())).await?;
    limited(publisher.channel.close(200, "replayed".into())).await?;
    Ok(())
}
