//! Dead letters: a queue for each group. Whoever reads it holds the lock, takes everything, and lets it go back with the
//! channel.

use std::collections::{HashMap, hash_map::Entry};

use lapin::{
    BasicProperties, Channel,
    options::{BasicAckOptions, BasicGetOptions},
};
use messaging::{Cause, DEAD_LETTERS, DeadLetter, Error, Event, Reason, Resolution};

use uuid::Uuid;

use crate::{
    catalogue::{Catalogue, Locked},
    client::{Client, Failure, Link, limited, look},
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
    match publisher.store(&queue, &event.data, message::of_event(event, &id, &more)).await {
        // It refuses for other reasons as well.
        Err(Failure::Refused) if count(&group.link, &group.name).await? >= DEAD_LETTERS.into() => {
            return Err(Error::NoRoom);
        }
        stored => stored?,
    }
    Ok(limited(publisher.channel.close(200, "stored".into())).await?)
}

/// An event's dead letter in the queue.
struct Found {
    dead_letter: DeadLetter,
    /// There are more where somebody did not hear that it was stored, or did not take it out after a replay.
    tags: Vec<u64>,
}

/// Takes all dead letters of a group; they go back with the channel.
async fn take(channel: &Channel, queue: &str, group: &str) -> Result<HashMap<Uuid, Found>, Error> {
    let mut all: HashMap<Uuid, Found> = HashMap::new();
    while let Some(message) = limited(channel.basic_get(queue.into(), BasicGetOptions::default())).await? {
        let tag = message.delivery_tag;
        match read(group, &message.properties, &message.data) {
            Ok(dead_letter) => match all.entry(dead_letter.event.id) {
                Entry::Vacant(entry) => drop(entry.insert(Found { dead_letter, tags: vec![tag] })),
                Entry::Occupied(entry) => {
                    let found = entry.into_mut();
                    found.tags.push(tag);
                    if found.dead_letter.replays < dead_letter.replays {
                        found.dead_letter = dead_letter;
                    }
                }
            },
            Err(error) => tracing::error!(queue, %error, "a message is no dead letter: it stays where it is"),
        }
    }
    Ok(all)
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
    dead_letters.sort_by_key(|dead_letter| (dead_letter.dead_at, dead_letter.event.id));
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
            dead_letters.extend(found.into_values().map(|found| found.dead_letter));
            limited(publisher.channel.close(200, "read".into())).await?;
        }
    }
    Ok(dead_letters)
}

/// Resolves the dead letters of these events, one after the other.
pub(crate) async fn resolve(
    client: &Client,
    group: &str,
    events: &[Uuid],
    resolution: Resolution,
) -> Result<u64, Error> {
    let locked = Locked::new(client).await?;
    let resolved = resolved(&locked, group, events, resolution).await;
    locked.release().await;
    resolved
}

async fn resolved(locked: &Locked<'_>, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
    let Catalogue { groups, partitions, .. } = locked.catalogue().await?;
    let names = &locked.client.options.names;
    if !groups.contains(group) {
        return Ok(0);
    }
    let publisher = locked.confirming().await?;
    let mut all = take(&publisher.channel, &names.dead_letters(group), group).await?;
    let mut resolved = 0;
    for Found { dead_letter, tags } in events.iter().filter_map(|id| all.remove(id)) {
        let event = &dead_letter.event;
        if resolution == Resolution::Replay {
            let stream = names.events(names::partition(event, partitions));
            let properties = message::of_replay(event, group, dead_letter.replays + 1);
            publisher.store(&stream, &event.data, properties).await?;
        }
        for tag in tags {
            limited(publisher.channel.basic_ack(tag, BasicAckOptions::default())).await?;
        }
        resolved += 1;
    }
    limited(publisher.channel.close(200, "resolved".into())).await?;
    Ok(resolved)
}
