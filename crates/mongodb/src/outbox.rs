//! An outbox inside the documents of collections: the relay's side.
//!
//! There is one document per aggregate and the aggregate's id is its events' key. Its events are stored in it by the
//! same update that changes it ([`recording`]), so that no transaction is needed:
//!
//! | field | meaning |
//! |---|---|
//! | `outbox` | the events to be published, in order |
//! | `waiting` | the time of the oldest of them; there while there are any |
//! | `retry_at` | the first of them was refused and waits until then |
//! | `dead` | those that the bus refused for good, and what cannot be read |
//! | `inbox` | the events that were applied to the aggregate |
//!
//! Events that were handled without a change of any aggregate are in the collection `inbox` ([`record_receipt`]).
//! Times are microseconds since 1970, as everywhere: BSON's own date knows milliseconds.

mod commands;
mod dead;
mod entry;
mod lease;
mod record;
mod waiting;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use clock::{SharedClock, from_micros, micros};
use futures::TryStreamExt as _;
use messaging::{DeadRow, Depth, Error, Event, OutboxRow, PRUNED};
use mongodb_driver::{
    Collection, Database,
    bson::{Bson, Document, RawDocumentBuf, doc},
};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use crate::within;
use commands::{changes, count, find};
use entry::{Entry, id};
use lease::Lease;
use record::INBOX;
pub use record::{Recording, entries, is_recorded, prepare, record_receipt, recording};
use waiting::Waiting;

/// How long a relay holds the outbox without renewing, so how long the next one waits after a kill.
const LEASE: Duration = Duration::from_secs(2);
/// How long inbox entries are kept, longer than the bus keeps events.
const RETENTION: Duration = Duration::from_hours(9 * 24);
/// Documents whose dead events are revived at a time.
const BATCH: i64 = 1_000;

/// The outbox inside the documents of collections, one document per key. A row's partition is the collection it is in.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    collections: Vec<Collection<Document>>,
    /// The collection that is looked at first, another one each time: none waits for the others to be empty.
    turn: Arc<AtomicUsize>,
    id_of: fn(&str) -> Bson,
    lease: Lease,
    lease_time: Duration,
    clock: SharedClock,
    held: Arc<Mutex<Option<Held>>>,
}

/// What this process' relay held when it last asked.
#[derive(Debug)]
struct Held {
    owner: String,
    fence: Option<i64>,
    renewed: Instant,
}

impl Outbox {
    /// The outbox inside the documents of collections that [`prepare`] has prepared, whose lease has the name of the
    /// first one; `id_of` says which document's events have a key.
    pub fn new<const N: usize>(
        database: &Database,
        collections: [&str; N],
        id_of: fn(&str) -> Bson,
        clock: SharedClock,
    ) -> Self {
        Self {
            database: database.clone(),
            collections: collections.map(|name| database.collection(name)).into(),
            turn: Arc::default(),
            id_of,
            lease: Lease::new(database, collections.first().copied().unwrap_or_default()),
            lease_time: LEASE,
            clock,
            held: Arc::default(),
        }
    }

    /// Sets how long a relay holds the outbox without renewing; 2 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease_time = lease;
        self
    }

    /// The fence of the owner's lease, renewed where a third of it is over.
    async fn fence(&self, owner: &str) -> Result<Option<i64>, Error> {
        let mut held = self.held.lock().await;
        let fresh = |held: &Held| held.owner == owner && held.renewed.elapsed() < self.lease_time / 3;
        if !held.as_ref().is_some_and(fresh) {
            // Taken before the question: the time that the answer needs counts against the lease, not for it.
            let renewed = Instant::now();
            let fence = self.lease.renew(owner, self.lease_time).await.map_err(Error::outbox)?;
            *held = Some(Held { owner: owner.to_owned(), fence, renewed });
        }
        Ok(held.as_ref().and_then(|held| held.fence))
    }

    /// Makes sure that nobody has taken over. Somebody may right after: what is done then is harmless, because only
    /// events that have been published are removed, each by its id.
    async fn ensure_current(&self, fence: i64) -> Result<(), Error> {
        // Nobody takes over before the lease has run out, which is later than here: it was asked for after `renewed`.
        let held = |held: &Held| held.fence == Some(fence) && held.renewed.elapsed() < self.lease_time;
        if self.held.lock().await.as_ref().is_some_and(held) {
            return Ok(());
        }
        if self.lease.is_current(fence).await.map_err(Error::outbox)? {
            return Ok(());
        }
        *self.held.lock().await = None;
        Err(Error::Stale)
    }

    /// The collections and their partitions, beginning with another one each time.
    fn in_turn(&self) -> impl Iterator<Item = (i16, &Collection<Document>)> {
        let (turn, n) = (self.turn.fetch_add(1, Ordering::Relaxed), self.collections.len());
        (0..).zip(&self.collections).cycle().skip(turn % n.max(1)).take(n)
    }

    /// The collection of a row.
    fn documents(&self, row: &OutboxRow) -> Result<&Collection<Document>, Error> {
        let found = usize::try_from(row.partition).ok().and_then(|partition| self.collections.get(partition));
        found.ok_or_else(|| Error::outbox("the row is of no collection"))
    }

    /// At most `limit` rows of a collection, the longest waiting first.
    async fn due(
        &self,
        (partition, documents): (i16, &Collection<Document>),
        fence: i64,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, Error> {
        // `waiting` is in a sparse index, so documents with nothing to publish cost nothing. `$not $gt` matches those
        // without `retry_at` too, which `$lte` does not. A document whose first event was refused is left out as a
        // whole: what comes later in it has the same key and must wait.
        let now = self.clock.now();
        let later = doc! { "$gt": micros(now), "$lte": micros(now + clock::HORIZON) };
        let due = doc! { "waiting": { "$gt": 0_i64 }, "retry_at": { "$not": later } };
        let found = loop {
            let found: Vec<RawDocumentBuf> = find(documents, due.clone(), "outbox", "waiting", number(limit)).await?;
            let found: Result<Vec<_>, Error> = found.iter().map(|found| Waiting::read(found, self.id_of)).collect();
            let found = found?;
            // Once more where something was set aside: what comes after it is due as well.
            if !self.set_aside(documents, fence, &found).await? {
                break found;
            }
        };
        // A mark without events is left by the last event that is refused for good, or by `some` of `removals`: it would
        // be found again and again.
        let (full, empty): (Vec<_>, Vec<_>) = found.into_iter().partition(|document| !document.entries.is_empty());
        self.update(documents, empty.into_iter().map(|document| nothing_waits(document.id)).collect()).await?;
        // Sequence numbers are positions in the document: order is promised per key, and a key is one document.
        let rows = full.into_iter().flat_map(|document| (0_i64..).zip(document.entries));
        Ok(rows.take(limit).map(|(seq, entry)| row(seq, partition, fence, entry)).collect())
    }

    /// Moves what cannot be read to the dead; says whether there was something that was moved.
    async fn set_aside(&self, documents: &Collection<Document>, fence: i64, found: &[Waiting]) -> Result<bool, Error> {
        let mut moved = false;
        for document in found {
            for unreadable in &document.unreadable {
                self.ensure_current(fence).await?;
                let [filter, update] = dead::setting_aside(&document.id, unreadable, self.clock.now());
                if changes(documents, filter, update).await? {
                    let (document, error) = (&document.id, &unreadable.error);
                    tracing::error!(%document, %error, "outbox row is dead: it cannot be read");
                    moved = true;
                }
            }
        }
        Ok(moved)
    }

    /// Several updates of documents in one command.
    async fn update(&self, documents: &Collection<Document>, updates: Vec<Document>) -> Result<(), Error> {
        if updates.is_empty() {
            return Ok(());
        }
        let command = doc! {
            "update": documents.name(), "updates": updates, "ordered": false,
            "writeConcern": { "w": "majority" },
        };
        let answer = within(&format!("update {}", documents.name()), self.database.run_command(command))
            .await
            .map_err(Error::outbox)?;
        match answer.get("writeErrors").or_else(|| answer.get("writeConcernError")) {
            None => Ok(()),
            Some(errors) => Err(Error::outbox(format!("MongoDB refused an update: {errors}"))),
        }
    }
}

#[async_trait]
impl messaging::Outbox for Outbox {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        let Some(fence) = self.fence(owner).await? else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for collection in self.in_turn() {
            let room = limit.saturating_sub(rows.len());
            if room > 0 {
                rows.extend(self.due(collection, fence, room).await?);
            }
        }
        Ok(rows)
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        let Some(first) = rows.first() else {
            return Ok(());
        };
        // Checked once for the batch, and not part of the updates: see `ensure_current`.
        self.ensure_current(first.fence).await?;
        for of_collection in rows.chunk_by(|one, next| one.partition == next.partition) {
            let of_keys = of_collection.chunk_by(|one, next| one.event.key == next.event.key);
            let removals = of_keys.filter_map(|rows| Some(removals((self.id_of)(&rows.first()?.event.key), rows)));
            if let Some(first) = of_collection.first() {
                self.update(self.documents(first)?, removals.flatten().collect()).await?;
            }
        }
        Ok(())
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        self.ensure_current(row.fence).await?;
        let (documents, document) = (self.documents(row)?, (self.id_of)(&row.event.key));
        let event = id(row.event.id);
        let changed = if let Some(pause) = pause {
            // By position 0 and by id in the filter: only the head may be refused, and only if it still is this event.
            let update = doc! {
                "$inc": { "outbox.0.attempts": 1_i64 },
                "$set": { "outbox.0.reason": reason, "retry_at": micros(self.clock.now() + pause) },
            };
            changes(documents, doc! { "_id": document, "outbox.0.id": event }, update).await?
        } else {
            // Out of the outbox and into `dead` by one update: whatever happens, the event is in one of the two.
            let entry = Entry::from(&row.event).dead(row.attempts + 1, reason, self.clock.now());
            let update = doc! {
                "$pull": { "outbox": { "id": event } },
                "$push": { "dead": entry.bson()? },
                "$unset": { "retry_at": "" },
            };
            changes(documents, doc! { "_id": document, "outbox.id": event }, update).await?
        };
        if changed { Ok(()) } else { Err(Error::Stale) }
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        *self.held.lock().await = None;
        self.lease.release(owner).await.map_err(Error::outbox)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let (mut depth, mut since) = (Depth::default(), Vec::new());
        for documents in &self.collections {
            let (waiting, oldest) = count(documents, doc! { "waiting": { "$gt": 0_i64 } }, "$outbox").await?;
            depth.count += waiting;
            since.extend(oldest.filter(|_| waiting > 0));
            depth.dead += count(documents, dead::documents_with(None), "$dead").await?.0;
        }
        let age = |at: i64| Duration::try_from(self.clock.now() - from_micros(at)).unwrap_or_default();
        Ok(Depth { oldest: since.into_iter().min().map(age), ..depth })
    }

    async fn dead(&self, limit: usize) -> Result<Vec<DeadRow>, Error> {
        let mut rows = Vec::new();
        for documents in &self.collections {
            let with_dead = dead::documents_with(None);
            let found: Vec<Document> = find(documents, with_dead, "dead", "dead.dead_at", number(limit)).await?;
            rows.extend(found.into_iter().flat_map(dead::rows));
        }
        rows.sort_by_key(|row| row.dead_at);
        rows.truncate(limit);
        Ok(rows)
    }

    async fn revive(&self, event: Option<Uuid>) -> Result<u64, Error> {
        let mut revived = 0;
        for documents in &self.collections {
            let with_dead = dead::documents_with(event);
            // As many rounds as what is dead now needs: some of it may die again meanwhile.
            let rounds = count(documents, with_dead.clone(), "$dead").await?.0.div_ceil(BATCH.unsigned_abs());
            for _ in 0..rounds {
                let found: Vec<Document> = find(documents, with_dead.clone(), "dead", "dead.dead_at", BATCH).await?;
                for document in found {
                    if let Some((n, [filter, update])) = dead::revival(document, event, self.clock.now())
                        && changes(documents, filter, update).await?
                    {
                        revived += n;
                    }
                }
            }
        }
        Ok(revived)
    }

    async fn prune(&self) -> Result<u64, Error> {
        let inbox = self.database.collection::<Document>(INBOX);
        let old = doc! { "at": { "$lt": micros(self.clock.now() - RETENTION) } };
        let ids = async {
            inbox
                .find(old)
                .sort(doc! { "at": 1 })
                .limit(i64::from(PRUNED))
                .projection(doc! { "_id": 1 })
                .await?
                .try_collect()
                .await
        };
        let ids: Vec<Document> = within("find inbox", ids).await.map_err(Error::outbox)?;
        if ids.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Bson> = ids.into_iter().filter_map(|mut entry| entry.remove("_id")).collect();
        let pruned =
            within("delete inbox", inbox.delete_many(doc! { "_id": { "$in": ids } })).await.map_err(Error::outbox)?;
        Ok(pruned.deleted_count)
    }
}

fn row(seq: i64, partition: i16, fence: i64, entry: Entry) -> OutboxRow {
    let attempts = u32::try_from(entry.attempts).unwrap_or(u32::MAX);
    OutboxRow { seq, partition, fence, event: Event::from(entry), attempts }
}

/// Removes what was published: with the document's mark that something waits, if that is all it has, else without.
///
/// Two updates, because one cannot choose by what would be left. Between reading the document and this another event may
/// have been appended, whose mark must not be removed: `all` matches only if the document has these events and no
/// other. Where it has matched it leaves nothing for `some`.
fn removals(document: Bson, published: &[OutboxRow]) -> [Document; 2] {
    let ids: Vec<Bson> = published.iter().map(|row| Bson::from(id(row.event.id))).collect();
    let all = doc! { "_id": document.clone(), "outbox": { "$size": number(ids.len()) }, "outbox.id": { "$all": &ids } };
    let some = doc! { "_id": document, "outbox.id": { "$in": &ids } };
    [
        doc! { "q": all, "u": { "$set": { "outbox": [] }, "$unset": { "waiting": "", "retry_at": "" } } },
        doc! { "q": some, "u": { "$pull": { "outbox": { "id": { "$in": ids } } }, "$unset": { "retry_at": "" } } },
    ]
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Removes the mark of a document with nothing to publish, unless an event was appended meanwhile.
fn nothing_waits(document: Bson) -> Document {
    let empty = doc! { "_id": document, "outbox": { "$size": 0 } };
    doc! { "q": empty, "u": { "$unset": { "waiting": "", "retry_at": "" } } }
}
