//! The relay's side of the outbox in a service's database.

use std::time::Duration;

use async_trait::async_trait;
use clock::SharedClock;
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;

use super::{record, rows};
use crate::{Claimed, Depth, Error, Outbox, OutboxRow};

/// How long a relay holds the outbox without renewing, so how long the next one waits after a kill.
const LEASE: Duration = Duration::from_secs(2);
/// How long inbox rows are kept, longer than the bus keeps events.
const RETENTION: Duration = Duration::from_hours(9 * 24);
/// Inbox rows forgotten at a time.
const BATCH: i64 = 1_000;

/// By primary key from the oldest on, so that it costs the same however much waits.
const ROWS: &str = "SELECT * FROM outbox AS o
    WHERE dead_at IS NULL AND (next_at IS NULL OR next_at <= $1)
      AND NOT EXISTS (SELECT 1 FROM outbox AS b
                      WHERE b.key = o.key AND b.seq < o.seq AND b.next_at > $1 AND b.dead_at IS NULL)
    ORDER BY seq LIMIT $2";

const HELD: &str = "SELECT fence FROM outbox_lease WHERE owner = $1 AND until > $2";

const TAKE: &str = "UPDATE outbox_lease
    SET fence = fence + (owner <> $1)::int, owner = $1, until = $3
    WHERE owner = $1 OR until <= $2 RETURNING fence";

const CONFIRM: &str = "DELETE FROM outbox
    WHERE seq = ANY($2) AND EXISTS (SELECT 1 FROM outbox_lease WHERE fence = $1)";

const FAIL: &str =
    "UPDATE outbox SET attempts = attempts + 1, reason = $3, next_at = coalesce($4, next_at), dead_at = $5
    WHERE seq = $2 AND EXISTS (SELECT 1 FROM outbox_lease WHERE fence = $1)";

const DEPTH: &str = "SELECT count(*) FILTER (WHERE dead_at IS NULL) AS waiting,
    min(time) FILTER (WHERE dead_at IS NULL) AS oldest,
    count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead FROM outbox";

const PRUNE: &str = "DELETE FROM inbox WHERE (consumer, event) IN (
    SELECT consumer, event FROM inbox WHERE at < $1 ORDER BY at LIMIT $2)";

/// The outbox in a service's own database.
#[derive(Debug, Clone)]
pub struct PostgresOutbox {
    pool: PgPool,
    clock: SharedClock,
    lease: Duration,
}

impl PostgresOutbox {
    /// Opens the outbox of a database, making its tables and those of the inbox where they are missing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn open(pool: PgPool, clock: SharedClock) -> Result<Self, Error> {
        record::prepare(&pool).await.map_err(Error::outbox)?;
        Ok(Self { pool, clock, lease: LEASE })
    }

    /// Sets how long a relay holds the outbox without renewing; 2 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The fence where the lease is ours for a while yet, without writing.
    async fn held(&self, owner: &str, now: OffsetDateTime) -> Result<Option<i64>, Error> {
        sqlx::query_scalar(HELD)
            .bind(owner)
            .bind(now + self.lease / 2)
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::outbox)
    }

    async fn take(&self, owner: &str, now: OffsetDateTime) -> Result<Option<i64>, Error> {
        sqlx::query_scalar(TAKE)
            .bind(owner)
            .bind(now)
            .bind(now + self.lease)
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::outbox)
    }

    async fn due(&self, now: OffsetDateTime, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = sqlx::query(ROWS).bind(now).bind(limit).fetch_all(&self.pool).await.map_err(Error::outbox)?;
        found.iter().map(rows::outbox).collect()
    }
}

fn fenced(rows: u64) -> Result<(), Error> {
    if rows == 0 { Err(Error::Stale) } else { Ok(()) }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Claimed, Error> {
        let now = self.clock.now();
        let due = self.due(now, limit).await?;
        if due.is_empty() {
            return Ok(Claimed::default());
        }
        if let Some(fence) = self.held(owner, now).await? {
            return Ok(Claimed { fence, rows: due });
        }
        match self.take(owner, now).await? {
            // Read again: the last owner may have worked on what was due before it lost the lease.
            Some(fence) => Ok(Claimed { fence, rows: self.due(now, limit).await? }),
            None => Ok(Claimed::default()),
        }
    }

    async fn confirm(&self, fence: i64, seqs: &[i64]) -> Result<(), Error> {
        if seqs.is_empty() {
            return Ok(());
        }
        let done = sqlx::query(CONFIRM).bind(fence).bind(seqs).execute(&self.pool).await.map_err(Error::outbox)?;
        fenced(done.rows_affected())
    }

    async fn fail(&self, fence: i64, seq: i64, reason: &str, next: Option<OffsetDateTime>) -> Result<(), Error> {
        let dead_at = next.is_none().then(|| self.clock.now());
        let done = sqlx::query(FAIL)
            .bind(fence)
            .bind(seq)
            .bind(reason)
            .bind(next)
            .bind(dead_at)
            .execute(&self.pool)
            .await
            .map_err(Error::outbox)?;
        fenced(done.rows_affected())
    }

    async fn release(&self, fence: i64) -> Result<(), Error> {
        sqlx::query("UPDATE outbox_lease SET until = '-infinity' WHERE fence = $1")
            .bind(fence)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(Error::outbox)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let row = sqlx::query(DEPTH).fetch_one(&self.pool).await.map_err(Error::outbox)?;
        let count = |name| row.try_get::<i64, _>(name).map(|n| u64::try_from(n).unwrap_or_default());
        let oldest: Option<OffsetDateTime> = row.try_get("oldest").map_err(Error::outbox)?;
        let age = |at: OffsetDateTime| Duration::try_from(self.clock.now() - at).unwrap_or_default();
        Ok(Depth {
            count: count("waiting").map_err(Error::outbox)?,
            oldest: oldest.map(age),
            dead: count("dead").map_err(Error::outbox)?,
        })
    }

    async fn revive(&self) -> Result<u64, Error> {
        sqlx::query("UPDATE outbox SET dead_at = NULL, next_at = NULL, attempts = 0 WHERE dead_at IS NOT NULL")
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }

    async fn prune(&self) -> Result<u64, Error> {
        sqlx::query(PRUNE)
            .bind(self.clock.now() - RETENTION)
            .bind(BATCH)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }
}
