//! The relay's side of the outbox in a service's database.

mod record;

use std::time::Duration;

use async_trait::async_trait;
use clock::SharedClock;
use messaging::{DeadRow, Depth, Error, OutboxRow, PRUNED};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::{Database, columns};
pub use record::{SCHEMA, prepare, record};

/// How long a relay holds the outbox without renewing, so how long the next one waits after a kill.
const LEASE: Duration = Duration::from_secs(2);
/// How long inbox rows are kept, longer than the bus keeps events.
const RETENTION: Duration = Duration::from_hours(9 * 24);
/// Inbox rows that stay whatever their age: after a long stop, what was in flight then is delivered again.
const NEWEST: i64 = 10_000;

const ROWS: &str = "SELECT * FROM outbox AS o
    WHERE dead_at IS NULL AND (next_at <= ?1 OR next_at > ?3)
      AND NOT EXISTS (SELECT 1 FROM outbox AS b
                      WHERE b.key = o.key AND b.seq < o.seq AND b.next_at > 0 AND b.next_at > ?1 AND b.next_at <= ?3
                        AND b.dead_at IS NULL)
    ORDER BY seq LIMIT ?2";

const ACQUIRE: &str = "UPDATE outbox_lease
    SET fence = fence + (owner <> ?1), owner = ?1, until = ?3
    WHERE owner = ?1 OR until <= ?2 OR until > ?4 RETURNING fence";

const CONFIRM: &str = "DELETE FROM outbox
    WHERE seq IN (SELECT value FROM json_each(?2)) AND EXISTS (SELECT 1 FROM outbox_lease WHERE fence = ?1)";

const FAIL: &str =
    "UPDATE outbox SET attempts = attempts + 1, reason = ?3, next_at = coalesce(?4, next_at), dead_at = ?5
    WHERE seq = ?2 AND EXISTS (SELECT 1 FROM outbox_lease WHERE fence = ?1)";

const DEAD: &str = "SELECT * FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at, seq LIMIT ?1";

const REVIVE: &str = "UPDATE outbox SET dead_at = NULL, next_at = 0, attempts = 0
    WHERE dead_at IS NOT NULL AND (?1 IS NULL OR id = ?1)";

const DEPTH: &str = "SELECT count(*) FILTER (WHERE dead_at IS NULL) AS waiting,
    min(time) FILTER (WHERE dead_at IS NULL) AS oldest,
    count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead FROM outbox";

const PRUNE: &str = "DELETE FROM inbox WHERE seq IN (
    SELECT seq FROM inbox WHERE seq <= (SELECT max(seq) FROM inbox) - ?2 ORDER BY seq LIMIT ?3) AND at < ?1";

/// The outbox in a service's own database.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    clock: SharedClock,
    lease: Duration,
}

impl Outbox {
    /// Opens the outbox of a database, making its tables and those of the inbox where they are missing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn open(database: Database, clock: SharedClock) -> Result<Self, Error> {
        prepare(&database).await.map_err(Error::outbox)?;
        Ok(Self { database, clock, lease: LEASE })
    }

    /// Sets how long a relay holds the outbox without renewing; 2 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    fn now(&self) -> i64 {
        clock::micros(self.clock.now())
    }

    /// The fence where the lease is the owner's for half its length yet, without writing.
    async fn held(&self, owner: &str, now: i64) -> Result<Option<i64>, sqlx::Error> {
        sqlx::query_scalar("SELECT fence FROM outbox_lease WHERE owner = ?1 AND until > ?2 AND until <= ?3")
            .bind(owner)
            .bind(now.saturating_add(columns::micros(self.lease / 2)))
            .bind(columns::horizon(now))
            .fetch_optional(&self.database.read)
            .await
    }

    async fn acquire(&self, owner: &str) -> Result<Option<i64>, sqlx::Error> {
        let mut tx = self.database.begin().await?;
        // Not before: whoever had the write lock may have renewed the lease meanwhile.
        let now = self.now();
        let fence = sqlx::query_scalar(ACQUIRE)
            .bind(owner)
            .bind(now)
            .bind(now.saturating_add(columns::micros(self.lease)))
            .bind(columns::horizon(now))
            .fetch_optional(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(fence)
    }

    async fn due(&self, now: i64, limit: usize) -> Result<Vec<SqliteRow>, Error> {
        sqlx::query(ROWS)
            .bind(now)
            .bind(columns::limit(limit))
            .bind(columns::horizon(now))
            .fetch_all(&self.database.read)
            .await
            .map_err(Error::outbox)
    }

    /// What is due, and the fence of the owner's lease; nothing where somebody else has that.
    async fn leased(&self, owner: &str, limit: usize) -> Result<(Vec<SqliteRow>, i64), Error> {
        let now = self.now();
        // Rows first, the lease only where there are any: a relay with nothing to do never writes.
        let held = self.held(owner, now).await.map_err(Error::outbox)?;
        let due = self.due(now, limit).await?;
        if due.is_empty() || held.is_some() {
            return Ok((due, held.unwrap_or_default()));
        }
        match self.acquire(owner).await.map_err(Error::outbox)? {
            // Read again: the last owner may have worked on what was due before it lost the lease.
            Some(fence) => Ok((self.due(now, limit).await?, fence)),
            None => Ok((Vec::new(), 0)),
        }
    }

    async fn refuse(&self, seq: i64, fence: i64, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        let now = self.now();
        let done = sqlx::query(FAIL)
            .bind(fence)
            .bind(seq)
            .bind(reason)
            .bind(pause.map(|pause| now.saturating_add(columns::micros(pause))))
            .bind(pause.is_none().then_some(now))
            .execute(&self.database.write)
            .await
            .map_err(Error::outbox)?;
        if done.rows_affected() == 0 { Err(Error::Stale) } else { Ok(()) }
    }
}

fn number(row: &SqliteRow, name: &str) -> Result<i64, Error> {
    row.try_get(name).map_err(Error::outbox)
}

/// There is one writer, so one lease on everything.
fn row(row: &SqliteRow, fence: i64) -> Result<OutboxRow, Error> {
    let attempts = columns::small(number(row, "attempts")?);
    Ok(OutboxRow { seq: number(row, "seq")?, partition: 0, fence, attempts, event: columns::event(row)? })
}

fn dead(row: &SqliteRow) -> Result<DeadRow, Error> {
    let reason: Option<String> = row.try_get("reason").map_err(Error::outbox)?;
    Ok(DeadRow {
        event: columns::event(row).ok(),
        attempts: columns::small(number(row, "attempts")?),
        reason: reason.unwrap_or_default(),
        dead_at: clock::from_micros(number(row, "dead_at")?),
    })
}

#[async_trait]
impl messaging::Outbox for Outbox {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        loop {
            let (due, fence) = self.leased(owner, limit).await?;
            let (mut rows, mut all_read) = (Vec::with_capacity(due.len()), true);
            for found in &due {
                match row(found, fence) {
                    Ok(row) => rows.push(row),
                    Err(error @ Error::Malformed(_)) => {
                        let seq = number(found, "seq")?;
                        self.refuse(seq, fence, &error.to_string(), None).await?;
                        tracing::error!(seq, %error, "outbox row is dead: it cannot be read");
                        all_read = false;
                    }
                    Err(error) => return Err(error),
                }
            }
            // Otherwise once more: what comes after a row that was set aside is due as well.
            if all_read {
                return Ok(rows);
            }
        }
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        let Some(first) = rows.first() else { return Ok(()) };
        let done = sqlx::query(CONFIRM)
            .bind(first.fence)
            .bind(columns::list(rows.iter().map(|row| row.seq)))
            .execute(&self.database.write)
            .await
            .map_err(Error::outbox)?;
        if done.rows_affected() == 0 { Err(Error::Stale) } else { Ok(()) }
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        self.refuse(row.seq, row.fence, reason, pause).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        sqlx::query("UPDATE outbox_lease SET until = 0 WHERE owner = ?1")
            .bind(owner)
            .execute(&self.database.write)
            .await
            .map(drop)
            .map_err(Error::outbox)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let row = sqlx::query(DEPTH).fetch_one(&self.database.read).await.map_err(Error::outbox)?;
        let oldest: Option<i64> = row.try_get("oldest").map_err(Error::outbox)?;
        Ok(Depth {
            count: columns::count(row.try_get("waiting").map_err(Error::outbox)?),
            oldest: oldest.map(|at| Duration::from_micros(columns::count(self.now().saturating_sub(at)))),
            dead: columns::count(row.try_get("dead").map_err(Error::outbox)?),
        })
    }

    async fn dead(&self, limit: usize) -> Result<Vec<DeadRow>, Error> {
        let found = sqlx::query(DEAD).bind(columns::limit(limit)).fetch_all(&self.database.read).await;
        found.map_err(Error::outbox)?.iter().map(dead).collect()
    }

    async fn revive(&self, event: Option<Uuid>) -> Result<u64, Error> {
        sqlx::query(REVIVE)
            .bind(event.as_ref().map(|id| id.as_bytes().as_slice()))
            .execute(&self.database.write)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }

    async fn prune(&self) -> Result<u64, Error> {
        sqlx::query(PRUNE)
            .bind(self.now().saturating_sub(columns::micros(RETENTION)))
            .bind(NEWEST)
            .bind(i64::from(PRUNED))
            .execute(&self.database.write)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }
}
