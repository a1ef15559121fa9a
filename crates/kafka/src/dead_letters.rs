//! Dead letters: a compacted topic with one partition, and what brings them back.
//!
//! A key is `GROUP/EVENT/REPLAYS`: an event that is given up again, while its last dead letter is still being taken back, is
//! another one. A record without a value takes a dead letter back. Who resolves one first writes a *claim* on it, under a key of its own, since of
//! one key the log keeps the last record alone: of two claims, the log says whose came first.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use messaging::{Cause, DEAD_LETTERS, DeadLetter, Error, Event, Reason, Resolution};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::KafkaError,
    message::{BorrowedMessage, Message as _, OwnedHeaders},
    producer::Producer as _,
};
use uuid::Uuid;

use crate::{
    blocking::{TIMEOUT, blocking},
    connection::Connection,
    context::Asking,
    counted::{CLAIM, Counted, OF_CLAIM},
    message::{self, headers, text, with},
};

const GROUP: &str = "dead-group";
const ATTEMPTS: &str = "dead-attempts";
const REPLAYS: &str = "dead-replays";
const CAUSE: &str = "dead-cause";
/// A JSON string: one line, whatever the error said.
const DETAIL: &str = "dead-detail";
const AT: &str = "dead-at";
/// Whoever claimed a dead letter and has not resolved it in this time, as the broker sees it, does not do so any more.
const CLAIMED: Duration = Duration::from_secs(30);
/// An error that says more than this says too much.
const LONGEST: usize = 4_000;
/// For so long whoever stores a dead letter does not look for those of others.
const COUNTED: Duration = Duration::from_secs(10);
/// Records on their way to the broker at a time.
const WINDOW: usize = 256;
/// How long reading may take in all.
const READING: Duration = Duration::from_secs(30);

/// A dead letter as the log has it.
#[derive(Clone)]
struct Letter {
    dead: DeadLetter,
    offset: i64,
    /// Who resolves it, and since when.
    claim: Option<(String, i64)>,
}

fn key(dead: &DeadLetter) -> String {
    format!("{}/{}/{}", dead.group, dead.event.id, dead.replays)
}

fn described(dead: &DeadLetter) -> Result<OwnedHeaders, Error> {
    let detail: String = dead.reason.detail.chars().take(LONGEST).collect();
    let described = [
        (GROUP, dead.group.clone()),
        (ATTEMPTS, dead.attempts.to_string()),
        (REPLAYS, dead.replays.to_string()),
        (CAUSE, dead.reason.cause.as_str().to_owned()),
        (DETAIL, serde_json::to_string(&detail).map_err(Error::Encode)?),
        (AT, clock::rfc3339(dead.dead_at)),
    ];
    Ok(described.iter().fold(message::of_event(&dead.event), |all, (name, value)| with(all, name, value)))
}

/// Stores a dead letter where there is room for it; twice is once.
pub(crate) async fn store(
    connection: &Arc<Connection>,
    group: &str,
    event: &Event,
    (attempts, replays): (u32, u32),
    reason: &Reason,
) -> Result<(), Error> {
    let (event, reason, dead_at) = (event.clone(), reason.clone(), connection.clock.now());
    let dead = DeadLetter { group: group.to_owned(), event, attempts, replays, reason, dead_at };
    let (topic, key) = (connection.names().dead_letters(), key(&dead));
    if !has_room(connection, group, &key).await? {
        return Err(Error::NoRoom);
    }
    connection.store(&topic, &key, Some(&dead.event), described(&dead)?).await?;
    known(connection).keys.insert(key);
    Ok(())
}

/// Whether a group may have this one as well. What others have stored within the last seconds is not looked at.
async fn has_room(connection: &Arc<Connection>, group: &str, key: &str) -> Result<bool, Error> {
    let is_old = || known(connection).at.is_none_or(|at| at.elapsed() > COUNTED);
    if is_old() {
        // One reads for all who come meanwhile.
        let _counting = connection.counting.lock().await;
        if is_old()
            && let Err(error) = count(connection, group).await
        {
            // The bound is there for a day on which nobody looks: rather one dead letter more than one less.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot count the dead letters");
        }
    }
    let known = known(connection);
    Ok(known.keys.contains(key) || known.of(group) < DEAD_LETTERS.into())
}

fn known(connection: &Connection) -> MutexGuard<'_, Counted> {
    connection.dead_letters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The dead letters of a group or of all, oldest first.
pub(crate) async fn list(
    connection: &Arc<Connection>,
    group: Option<&str>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let letters = last(connection).await?.into_values();
    let mut asked: Vec<Letter> =
        letters.filter(|letter| group.is_none_or(|group| letter.dead.group == group)).collect();
    asked.sort_by_key(|letter| letter.offset);
    Ok(asked.into_iter().take(limit).map(|letter| letter.dead).collect())
}

/// How many dead letters a group has. Of the log is read what it has grown by since it was asked last.
pub(crate) async fn count(connection: &Arc<Connection>, group: &str) -> Result<u64, Error> {
    let (producer, topic) = (connection.producer.clone(), connection.names().dead_letters());
    let ends = move || producer.client().fetch_watermarks(&topic, 0, TIMEOUT);
    let (_, end) = blocking(&connection.context, ends).await?;
    let mut counted = known(connection).clone();
    // A topic that was made anew begins anew.
    if counted.end > end {
        counted = Counted::default();
    }
    if counted.end < end {
        let from = if counted.end > 0 { Offset::Offset(counted.end) } else { Offset::Beginning };
        counted = read(connection, from, counted, Counted::note).await?;
        counted.end = counted.end.max(end);
    }
    counted.at = Some(Instant::now());
    known(connection).clone_from(&counted);
    Ok(counted.of(group))
}

/// Of each event that a group has given up the last, in any order.
async fn last(connection: &Arc<Connection>) -> Result<HashMap<(String, Uuid), Letter>, Error> {
    let mut last: HashMap<(String, Uuid), Letter> = HashMap::new();
    for letter in letters(connection).await?.into_values() {
        let of = (letter.dead.group.clone(), letter.dead.event.id);
        if last.get(&of).is_none_or(|other| other.dead.replays < letter.dead.replays) {
            last.insert(of, letter);
        }
    }
    Ok(last)
}

/// Resolves the dead letters of these events. Whose claim on one came first does so; the log is read twice for all of them.
pub(crate) async fn resolve(
    connection: &Arc<Connection>,
    group: &str,
    events: &[Uuid],
    resolution: Resolution,
) -> Result<u64, Error> {
    let mut last = last(connection).await?;
    let asked = events.iter().filter_map(|id| last.remove(&(group.to_owned(), *id)));
    let asked: Vec<DeadLetter> = asked.map(|letter| letter.dead).collect();
    let claim = &Uuid::now_v7().to_string();
    let claim_key = |dead: &DeadLetter| key(dead) + OF_CLAIM;
    let ours = |dead: &DeadLetter| {
        (claim_key(dead), Some(dead.event.clone()), with(message::of_event(&dead.event), CLAIM, claim))
    };
    write(connection, asked.iter().map(ours).collect()).await?;
    let claimed = letters(connection).await?;
    let (mut resolved, mut gone, mut failed) = (0, Vec::new(), Ok(()));
    for dead in &asked {
        match claimed.get(&key(dead)) {
            Some(Letter { claim: Some((first, _)), .. }) if first == claim => {
                // After one has failed only the claims are taken back.
                if failed.is_ok() && resolution == Resolution::Replay {
                    failed = replay(connection, dead).await;
                }
                if failed.is_ok() {
                    resolved += 1;
                    gone.push((key(dead), None, OwnedHeaders::new()));
                }
            }
            // Somebody else's.
            Some(_) => continue,
            // It was resolved before our claim, which nothing has to remember.
            None => {}
        }
        gone.push((claim_key(dead), None, OwnedHeaders::new()));
    }
    // Also where one has failed: those before it are replayed.
    write(connection, gone).await?;
    failed.map(|()| resolved)
}

/// Publishes a dead letter's event for its group alone.
async fn replay(connection: &Connection, dead: &DeadLetter) -> Result<(), Error> {
    let headers = message::of_replay(&dead.event, &dead.group, dead.replays + 1);
    connection.store(&connection.topic_of(&dead.event), &dead.event.key, Some(&dead.event), headers).await
}

/// Stores records of dead letters, each with its key, in any order.
async fn write(connection: &Arc<Connection>, records: Vec<(String, Option<Event>, OwnedHeaders)>) -> Result<(), Error> {
    let store = |(key, event, headers): (String, Option<Event>, OwnedHeaders)| {
        let connection = Arc::clone(connection);
        async move { connection.store(&connection.names().dead_letters(), &key, event.as_ref(), headers).await }
    };
    stream::iter(records.into_iter().map(store)).buffer_unordered(WINDOW).try_collect().await
}

/// What is there now, by key.
async fn letters(connection: &Arc<Connection>) -> Result<HashMap<String, Letter>, Error> {
    read(connection, Offset::Beginning, HashMap::new(), note).await
}

/// Shows each record from there on to `note`, which keeps what it makes of them beside what is known.
async fn read<T: Clone + Send + 'static>(
    connection: &Arc<Connection>,
    from: Offset,
    known: T,
    note: impl Fn(&mut T, &BorrowedMessage<'_>) + Send + 'static,
) -> Result<T, Error> {
    let mut config = connection.options.consumer();
    let topic = connection.names().dead_letters();
    config.set("group.id", &topic).set("enable.partition.eof", "true");
    let consumer: Asking = connection.create(&config)?;
    blocking(&connection.context, move || {
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&topic, 0, from)?;
        consumer.assign(&all)?;
        let (mut kept, until) = (known.clone(), Instant::now() + READING);
        loop {
            match consumer.poll(TIMEOUT) {
                Some(Ok(message)) => note(&mut kept, &message),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(kept),
                Some(Err(error)) if Instant::now() > until => return Err(error),
                None if Instant::now() > until => {
                    return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut));
                }
                Some(Err(_)) | None => {}
            }
        }
    })
    .await
}

/// Takes note of a record.
fn note(letters: &mut HashMap<String, Letter>, message: &BorrowedMessage<'_>) {
    let Some(key) = message.key().and_then(|key| std::str::from_utf8(key).ok()) else { return };
    let claimed = key.strip_suffix(OF_CLAIM);
    let Some(data) = message.payload() else {
        match claimed {
            Some(key) => letters.entry(key.to_owned()).and_modify(|letter| letter.claim = None),
            None => return drop(letters.remove(key)),
        };
        return;
    };
    let headers = headers(message);
    let at = message.timestamp().to_millis().unwrap_or_default();
    if let Some(claim) = text(&headers, CLAIM) {
        let Some(letter) = letters.get_mut(claimed.unwrap_or(key)) else { return };
        let since = letter.claim.as_ref().map(|(_, since)| *since);
        if since.is_none_or(|since| at.saturating_sub(since) > i64::try_from(CLAIMED.as_millis()).unwrap_or(i64::MAX)) {
            letter.claim = Some((claim.to_owned(), at));
        }
        return;
    }
    match dead_letter(&headers, data) {
        Ok(dead) => drop(letters.insert(key.to_owned(), Letter { dead, offset: message.offset(), claim: None })),
        Err(error) => tracing::error!(offset = message.offset(), %error, "a record is no dead letter"),
    }
}

fn dead_letter(headers: &[(&str, &str)], data: &[u8]) -> Result<DeadLetter, Error> {
    let text = |name| text(headers, name).ok_or_else(|| Error::Malformed(format!("a dead letter without {name}")));
    let bad = |name: &str| Error::Malformed(format!("a dead letter with a bad {name}"));
    let number = |name| text(name)?.parse().map_err(|_| bad(name));
    Ok(DeadLetter {
        group: text(GROUP)?.to_owned(),
        event: message::event(headers, data)?,
        attempts: number(ATTEMPTS)?,
        replays: number(REPLAYS)?,
        reason: Reason {
            cause: Cause::parse(text(CAUSE)?),
            detail: serde_json::from_str(text(DETAIL)?).map_err(|_| bad(DETAIL))?,
        },
        dead_at: clock::parse_rfc3339(text(AT)?).ok_or_else(|| bad(AT))?,
    })
}
