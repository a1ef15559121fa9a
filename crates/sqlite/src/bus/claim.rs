//! Leasing deliveries: new events move from the log into `pending`, and heads that are due are leased.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use messaging::{Cause, Delivery, Error, Event, Reason, Suspicion, Tag, Track};
use sqlx::{FromRow, Row};

use super::Shared;
use super::acks::{self, Ack};
use super::dead_letters;
use crate::columns;

/// Rows of the log that move into `pending` at a time.
const WINDOW: i64 = 256;

/// The two statements that differ by the track of the member.
struct Statements {
    /// When the next head is due, whether one lies too far ahead, and whether the log has something new; each is looked up
    /// in an index.
    ready: &'static str,
    lease: &'static str,
}

/// What the statements have in common.
macro_rules! statements {
    (due: $due:literal, new: $new:literal, heads: $heads:literal) => {
        Statements {
            ready: concat!(
                "SELECT (",
                $due,
                ") AS due, EXISTS (SELECT 1 FROM pending WHERE grp = ?1 AND head = 1 AND visible_at > ?2) ",
                "OR EXISTS (SELECT 1 FROM pending WHERE grp = ?1 AND head = 2 AND visible_at > ?2) AS astray, ",
                "EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.grp = ?1 AND EXISTS ",
                "(SELECT 1 FROM log AS l WHERE l.kind = s.kind AND l.place > s.cursor",
                $new,
                ")) AS fresh"
            ),
            lease: concat!(
                "UPDATE pending SET visible_at = ?4, attempts = attempts + 1, fence = fence + 1 ",
                "WHERE seq IN (SELECT seq FROM (",
                $heads,
                ") ORDER BY visible_at, seq LIMIT ?3) ",
                "RETURNING seq, place, attempts, fence"
            ),
        }
    };
}

/// Marked heads are for the stable version only while no canary lives. Each arm takes no more than can be leased, so
/// that there is nothing to sort, however much is due.
const STABLE: Statements = statements!(
    due: "SELECT min(at) FROM (
            SELECT min(visible_at) AS at FROM pending WHERE grp = ?1 AND head = 1
            UNION ALL
            SELECT max(min(visible_at), coalesce((SELECT max(until) FROM canaries WHERE grp = ?1 AND until <= ?2), 0))
            FROM pending WHERE grp = ?1 AND head = 2)",
    new: "",
    heads: "SELECT seq, visible_at FROM (SELECT seq, visible_at FROM pending
                WHERE grp = ?1 AND head = 1 AND visible_at <= ?2 ORDER BY visible_at, seq LIMIT ?3)
            UNION ALL
            SELECT seq, visible_at FROM (SELECT seq, visible_at FROM pending
                WHERE grp = ?1 AND head = 2 AND visible_at <= ?2 ORDER BY visible_at, seq
                LIMIT CASE WHEN EXISTS (SELECT 1 FROM canaries WHERE grp = ?1 AND until > ?2 AND until <= ?5)
                           THEN 0 ELSE ?3 END)"
);

/// A canary moves rows of the log only to get at marked ones.
const CANARY: Statements = statements!(
    due: "SELECT min(visible_at) FROM pending WHERE grp = ?1 AND head = 2",
    new: " AND l.canary = 1",
    heads: "SELECT seq, visible_at FROM pending WHERE grp = ?1 AND head = 2 AND visible_at <= ?2"
);

impl Statements {
    fn of(track: Track) -> &'static Self {
        match track {
            Track::Stable => &STABLE,
            Track::Canary => &CANARY,
        }
    }
}

/// From the first new row on, the range of the log that moves now.
const BOUNDS: &str = "WITH f (first) AS (
        SELECT min((SELECT min(l.place) FROM log AS l WHERE l.kind = s.kind AND l.place > s.cursor))
        FROM subscriptions AS s WHERE s.grp = ?1)
    SELECT first, (SELECT max(place) FROM (SELECT place FROM log WHERE place >= first ORDER BY place LIMIT ?2)) AS last
    FROM f WHERE first IS NOT NULL";

const ENQUEUE: &str = "INSERT INTO pending (grp, place, key, head, visible_at)
    SELECT ?1, n.place, n.key,
           CASE WHEN n.turn > 1 OR EXISTS (SELECT 1 FROM pending AS p WHERE p.grp = ?1 AND p.key = n.key) THEN 0
                ELSE 1 + n.canary END,
           ?4
    FROM (SELECT l.place, l.key, l.canary, row_number() OVER (PARTITION BY l.key ORDER BY l.place) AS turn
          FROM log AS l CROSS JOIN subscriptions AS s ON s.grp = ?1 AND s.kind = l.kind AND s.cursor < l.place
          WHERE l.place BETWEEN ?2 AND ?3) AS n
    ORDER BY n.place";

/// Heads that were leased or postponed under a clock that was wrong.
const STRAYED: &str = "UPDATE pending SET visible_at = ?2 WHERE grp = ?1 AND head > 0 AND visible_at > ?3";

const EVENTS: &str = "SELECT * FROM log WHERE place IN (SELECT value FROM json_each(?1))";

/// What the group has to do.
#[derive(Debug, FromRow)]
pub(super) struct Ready {
    /// When the next head may be delivered.
    pub(super) due: Option<i64>,
    /// Whether a head is not to be delivered for longer than anything is leased or postponed.
    pub(super) astray: bool,
    /// Whether the log has rows for this track that the group has not moved into `pending`.
    pub(super) fresh: bool,
}

impl Ready {
    pub(super) fn at(&self, now: i64) -> bool {
        self.fresh || self.astray || self.due.is_some_and(|due| due <= now)
    }
}

#[derive(FromRow)]
struct Leased {
    seq: i64,
    /// Where the event is in the log.
    #[sqlx(rename = "place")]
    offset: i64,
    attempts: i64,
    fence: i64,
}

/// Reads without writing, so that a member with nothing to do takes no lock.
pub(super) async fn ready(shared: &Shared, group: i64, track: Track) -> Result<Ready, Error> {
    let ready = sqlx::query_as(Statements::of(track).ready).bind(group).bind(columns::horizon(shared.now()));
    ready.fetch_one(&shared.database.read).await.map_err(Error::bus)
}

/// What a member asks for.
pub(super) struct Claim<'a> {
    pub(super) shared: &'a Shared,
    pub(super) group: i64,
    pub(super) track: Track,
    pub(super) lease: Duration,
    pub(super) max: usize,
}

impl Claim<'_> {
    /// Leases at most `max` deliveries, and writes the acknowledgements that wait on the way.
    pub(super) async fn run(&self, found: &Ready) -> Result<Vec<Delivery>, Error> {
        let acks = self.shared.acks.take();
        match self.transaction(found, &acks).await {
            Ok((done, deliveries)) => {
                acks::notify(acks, Ok(done));
                Ok(deliveries)
            }
            Err(error) => {
                let text = error.to_string();
                acks::notify(acks, Err(error));
                Err(Error::bus(text))
            }
        }
    }

    async fn transaction(&self, found: &Ready, acks: &[Ack]) -> Result<Taken, sqlx::Error> {
        let mut tx = self.shared.database.begin().await?;
        let now = self.shared.now();
        // In the same transaction as the leases: the next head of a key is leased together with the end of the last one.
        let done = if acks.is_empty() { HashSet::new() } else { acks::write(acks, &mut *tx).await? };
        let round =
            Round { group: self.group, track: self.track, now, until: now.saturating_add(columns::micros(self.lease)) };
        if found.astray {
            round.recall(&mut tx).await?;
        }
        let mut leased = Vec::new();
        // An acknowledgement makes the next event of its key a head, which `found` could not know of.
        if !acks.is_empty() || found.astray || found.due.is_some_and(|due| due <= now) {
            leased = round.lease(&mut tx, self.max).await?;
        }
        // Only when what is here does not fill the hands: `pending` stays small however long the log is.
        if found.fresh && leased.len() < self.max && round.enqueue(&mut tx).await? {
            leased.extend(round.lease(&mut tx, self.max - leased.len()).await?);
        }
        let events = events(&mut tx, &leased).await?;
        let (deliveries, unreadable) = deliveries(leased, events);
        // In the same transaction: a lease on what cannot be handed out would only run out, again and again.
        for (tag, error) in &unreadable {
            let reason = Reason { cause: Cause::Unreadable, detail: error.to_string() };
            dead_letters::insert_in(&mut tx, *tag, &reason, now).await?;
        }
        tx.commit().await?;
        for (_, error) in unreadable {
            tracing::error!(%error, "dead-lettering an event that the bus cannot read");
        }
        Ok((done, deliveries))
    }
}

/// The acknowledgements that were in time, and what was leased.
type Taken = (HashSet<i64>, Vec<Delivery>);

/// One transaction: whose it is, when it is, and until when it leases.
struct Round {
    group: i64,
    track: Track,
    now: i64,
    until: i64,
}

impl Round {
    async fn lease(&self, tx: &mut crate::Connection, max: usize) -> Result<Vec<Leased>, sqlx::Error> {
        sqlx::query_as(Statements::of(self.track).lease)
            .bind(self.group)
            .bind(self.now)
            .bind(columns::limit(max))
            .bind(self.until)
            .bind(columns::horizon(self.now))
            .fetch_all(tx)
            .await
    }

    /// Makes due what lies too far ahead.
    async fn recall(&self, tx: &mut crate::Connection) -> Result<(), sqlx::Error> {
        let recalled = sqlx::query(STRAYED).bind(self.group).bind(self.now).bind(columns::horizon(self.now));
        recalled.execute(tx).await.map(drop)
    }

    /// Moves a window of the log into `pending`; false when there was nothing.
    async fn enqueue(&self, tx: &mut crate::Connection) -> Result<bool, sqlx::Error> {
        let bounds: Option<(i64, i64)> =
            sqlx::query_as(BOUNDS).bind(self.group).bind(WINDOW).fetch_optional(&mut *tx).await?;
        let Some((first, last)) = bounds else { return Ok(false) };
        sqlx::query(ENQUEUE).bind(self.group).bind(first).bind(last).bind(self.now).execute(&mut *tx).await?;
        sqlx::query("UPDATE subscriptions SET cursor = ?2 WHERE grp = ?1 AND cursor < ?2")
            .bind(self.group)
            .bind(last)
            .execute(tx)
            .await?;
        Ok(true)
    }
}

async fn events(
    tx: &mut crate::Connection,
    leased: &[Leased],
) -> Result<HashMap<i64, Result<Event, Error>>, sqlx::Error> {
    if leased.is_empty() {
        return Ok(HashMap::new());
    }
    let found = sqlx::query(EVENTS).bind(columns::list(leased.iter().map(|row| row.offset))).fetch_all(tx).await?;
    found.iter().map(|row| Ok((row.try_get("place")?, columns::event(row)))).collect()
}

/// What can be delivered, in order, and why the rest cannot.
fn deliveries(
    mut leased: Vec<Leased>,
    mut events: HashMap<i64, Result<Event, Error>>,
) -> (Vec<Delivery>, Vec<(Tag, Error)>) {
    leased.sort_unstable_by_key(|row| row.seq);
    let (mut deliveries, mut unreadable) = (Vec::with_capacity(leased.len()), Vec::new());
    for Leased { seq, offset, attempts, fence } in leased {
        let tag = Tag { position: seq, fence };
        let missing = || Err(Error::Malformed("it is not in the log".to_owned()));
        match events.remove(&offset).unwrap_or_else(missing) {
            Ok(event) => {
                let attempt = columns::small(attempts);
                // Each delivery was a try; who died of one has failed as well.
                let (failures, suspicion) = (attempt.saturating_sub(1), Suspicion::Culprit);
                deliveries.push(Delivery { event, attempt, failures, suspicion, tag });
            }
            Err(error) => unreadable.push((tag, Error::Malformed(format!("position {offset}: {error}")))),
        }
    }
    (deliveries, unreadable)
}
