//! The relay's side of the outbox in a service's database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use clock::SharedClock;
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use tokio::{sync::Mutex, time::Instant};

use super::{
    lease::{self, Held},
    listen::Listener,
    rows,
};
use crate::{Depth, Error, Outbox, OutboxRow};

/// How long a relay holds the outbox without renewing, so how long the next one waits after a kill.
const LEASE: Duration = Duration::from_secs(2);
/// How long inbox rows are kept, longer than the bus keeps events.
const RETENTION: Duration = Duration::from_hours(9 * 24);
/// Inbox rows forgotten at a time.
const BATCH: i64 = 1_000;

/// By the index of each part, so that it costs the same however much waits.
const ROWS: &str = "SELECT * FROM outbox_due($1, $2, $3, $4)";

const CONFIRM: &str =
    "DELETE FROM outbox USING unnest($1::bigint[], $2::bigint[]) AS done (seq, fence), outbox_lease AS lease
    WHERE outbox.seq = done.seq AND lease.part = outbox.part AND lease.fence = done.fence";

const FAIL: &str =
    "UPDATE outbox SET attempts = attempts + 1, reason = $3, next_at = coalesce($4, next_at), dead_at = $5
    FROM outbox_lease AS lease
    WHERE seq = $2 AND lease.part = outbox.part AND lease.fence = $1";

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
    relay: Arc<Mutex<Option<Leased>>>,
    listener: Arc<Listener>,
}

/// What this process' relay held when it last looked.
#[derive(Debug)]
struct Leased {
    owner: String,
    held: Held,
    renewed: Instant,
}

impl PostgresOutbox {
    /// The outbox of a database that [`super::open`] has opened.
    pub fn new(pool: PgPool, clock: SharedClock) -> Self {
        let listener = Arc::new(Listener::new(pool.clone()));
        Self { pool, clock, lease: LEASE, relay: Arc::default(), listener }
    }

    /// Sets how long a relay holds the outbox without renewing; 2 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The parts of the owner and their fences, renewed where a third of the lease is over.
    async fn parts(&self, owner: &str) -> Result<Vec<(i16, i64)>, Error> {
        let mut relay = self.relay.lock().await;
        let fresh = |leased: &Leased| leased.owner == owner && leased.renewed.elapsed() < self.lease / 3;
        if !relay.as_ref().is_some_and(fresh) {
            let renewed = Instant::now();
            let held = lease::renew(&self.pool, owner, self.clock.now(), self.lease).await.map_err(Error::outbox)?;
            *relay = Some(Leased { owner: owner.to_owned(), held, renewed });
        }
        Ok(relay.iter().flat_map(|leased| &leased.held.fences).map(|(part, fence)| (*part, *fence)).collect())
    }

    /// Makes the next claim look at the leases again.
    async fn stale(&self) -> Error {
        *self.relay.lock().await = None;
        Error::Stale
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        let fences = self.parts(owner).await?;
        if fences.is_empty() {
            return Ok(Vec::new());
        }
        let parts: Vec<i16> = fences.iter().map(|(part, _)| *part).collect();
        let (most, of_part) = (number(limit), number(share(limit, parts.len())));
        let query = sqlx::query(ROWS).bind(parts).bind(self.clock.now()).bind(most).bind(of_part);
        let found = query.fetch_all(&self.pool).await;
        found.map_err(Error::outbox)?.iter().map(|row| rows::outbox(row, &fences)).collect()
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let (seqs, fences): (Vec<i64>, Vec<i64>) = rows.iter().map(|row| (row.seq, row.fence)).unzip();
        let done = sqlx::query(CONFIRM).bind(seqs).bind(fences).execute(&self.pool).await.map_err(Error::outbox)?;
        if done.rows_affected() == rows.len() as u64 { Ok(()) } else { Err(self.stale().await) }
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, next: Option<OffsetDateTime>) -> Result<(), Error> {
        let dead_at = next.is_none().then(|| self.clock.now());
        let query = sqlx::query(FAIL).bind(row.fence).bind(row.seq).bind(reason).bind(next).bind(dead_at);
        let done = query.execute(&self.pool).await.map_err(Error::outbox)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(self.stale().await) }
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        *self.relay.lock().await = None;
        lease::release(&self.pool, owner).await.map_err(Error::outbox)
    }

    async fn announce(&self) -> Result<(), Error> {
        if self.relay.lock().await.as_ref().is_some_and(|leased| leased.held.others) {
            self.listener.announce().await.map_err(Error::outbox)?;
        }
        Ok(())
    }

    async fn announced(&self) {
        self.listener.announced().await;
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

/// Rows of one part that are looked at: four times what comes to each, for parts fill unevenly.
fn share(limit: usize, parts: usize) -> usize {
    limit.div_ceil(parts).saturating_mul(4).clamp(8, limit.max(8))
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
