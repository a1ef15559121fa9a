//! The relay's side of the outbox in a service's database.

mod columns;
mod lease;
mod listen;
mod record;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use messaging::{DeadRow, Depth, Error, MORE, OutboxRow, PRUNED};
use sqlx::Row as _;
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

pub use record::{bind_events, bind_receipt, is_duplicate, open, published, received, record};

use lease::Assignment;
use listen::Listener;

/// How long a relay holds the outbox without renewing, so how long the next one waits after a kill.
const LEASE: Duration = Duration::from_secs(2);
/// How long inbox rows are kept, longer than the bus keeps events.
const RETENTION: Duration = Duration::from_hours(9 * 24);

/// By the index of each partition, so that it costs the same however much waits.
const ROWS: &str =
    "SELECT seq, id, kind, source, subject, key, time, data, traceparent, tracestate, canary, part, attempts
    FROM outbox_due($1, now(), $2, $3)";

const CONFIRM: &str =
    "DELETE FROM outbox USING unnest($1::bigint[], $2::bigint[]) AS done (seq, fence), outbox_lease AS lease
    WHERE outbox.seq = done.seq AND lease.part = outbox.part AND lease.fence = done.fence";

const FAIL: &str = "UPDATE outbox SET attempts = attempts + 1, reason = $3,
        next_at = coalesce(now() + make_interval(secs => $4), next_at), dead_at = CASE WHEN $4 IS NULL THEN now() END
    FROM outbox_lease AS lease
    WHERE seq = $2 AND lease.part = outbox.part AND lease.fence = $1";

const DEAD: &str = "SELECT * FROM outbox WHERE dead_at IS NOT NULL ORDER BY dead_at, seq LIMIT $1";

const REVIVE: &str = "UPDATE outbox SET dead_at = NULL, next_at = NULL, attempts = 0
    WHERE dead_at IS NOT NULL AND ($1::uuid IS NULL OR id = $1)";

const DEPTH: &str = "SELECT count(*) FILTER (WHERE dead_at IS NULL) AS waiting,
    extract(epoch FROM now() - min(time) FILTER (WHERE dead_at IS NULL))::float8 AS oldest,
    count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead FROM outbox";

/// Found by where they are, once; and of two processes that forget at the same time none waits for the other.
const PRUNE: &str = "DELETE FROM inbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbox WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// The outbox in a service's own database.
#[derive(Debug, Clone)]
pub struct Outbox {
    pool: crate::Pool,
    lease: Duration,
    relay: Arc<Mutex<Option<Leased>>>,
    listener: Arc<Listener>,
}

/// What this process' relay held when it last asked.
#[derive(Debug)]
struct Leased {
    owner: String,
    assignment: Assignment,
    renewed: Instant,
}

impl Outbox {
    /// The outbox of a database that [`open`] has opened.
    pub fn new(pool: crate::Pool) -> Self {
        let listener = Arc::new(Listener::new(pool.clone()));
        Self { pool, lease: LEASE, relay: Arc::default(), listener }
    }

    /// Sets how long a relay holds the outbox without renewing; 2 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The partitions of the owner and their fences, renewed where a third of the lease is over.
    async fn assignment(&self, owner: &str) -> Result<Vec<(i16, i64)>, Error> {
        let mut relay = self.relay.lock().await;
        let fresh = |leased: &Leased| leased.owner == owner && leased.renewed.elapsed() < self.lease / 3;
        if !relay.as_ref().is_some_and(fresh) {
            // Taken before the question: the time that the server's answer needs counts against the lease, not for it.
            let renewed = Instant::now();
            let assignment = lease::renew(&self.pool, owner, self.lease).await.map_err(Error::outbox)?;
            *relay = Some(Leased { owner: owner.to_owned(), assignment, renewed });
        }
        Ok(relay
            .iter()
            .flat_map(|leased| &leased.assignment.fences)
            .map(|(partition, fence)| (*partition, *fence))
            .collect())
    }

    async fn refuse(&self, seq: i64, fence: i64, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        let seconds = pause.map(|pause| pause.as_secs_f64());
        let query = sqlx::query(FAIL).bind(fence).bind(seq).bind(reason).bind(seconds);
        let done = query.execute(&self.pool).await.map_err(Error::outbox)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(self.stale().await) }
    }

    /// Makes the next claim ask for the leases again.
    async fn stale(&self) -> Error {
        *self.relay.lock().await = None;
        Error::Stale
    }
}

#[async_trait]
impl messaging::Outbox for Outbox {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        let fences = self.assignment(owner).await?;
        if fences.is_empty() {
            return Ok(Vec::new());
        }
        let partitions: Vec<i16> = fences.iter().map(|(partition, _)| *partition).collect();
        let (most, of_each) = (number(limit), number(per_partition(limit, partitions.len())));
        loop {
            let query = sqlx::query(ROWS).bind(&partitions).bind(most).bind(of_each);
            let due = query.fetch_all(&self.pool).await.map_err(Error::outbox)?;
            let (mut rows, mut all_read) = (Vec::with_capacity(due.len()), true);
            for found in &due {
                let place = columns::place(found, &fences)?;
                match columns::event(found) {
                    Ok(event) => rows.push(place.row(event)),
                    Err(error) => {
                        self.refuse(place.seq, place.fence, &error.to_string(), None).await?;
                        tracing::error!(seq = place.seq, %error, "outbox row is dead: it cannot be read");
                        all_read = false;
                    }
                }
            }
            // Otherwise once more: what comes after a row that was set aside is due as well.
            if all_read {
                return Ok(rows);
            }
        }
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let (seqs, fences): (Vec<i64>, Vec<i64>) = rows.iter().map(|row| (row.seq, row.fence)).unzip();
        let done = sqlx::query(CONFIRM).bind(seqs).bind(fences).execute(&self.pool).await.map_err(Error::outbox)?;
        // Fewer rows: a lease has passed on, and its rows are another relay's to publish and to confirm.
        if done.rows_affected() == rows.len() as u64 { Ok(()) } else { Err(self.stale().await) }
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        self.refuse(row.seq, row.fence, reason, pause).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        *self.relay.lock().await = None;
        lease::release(&self.pool, owner).await.map_err(Error::outbox)
    }

    async fn announce(&self) -> Result<(), Error> {
        // A single relay is woken by its own process; it spares the server a NOTIFY for each batch.
        if self.relay.lock().await.as_ref().is_some_and(|leased| leased.assignment.others) {
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
        let oldest: Option<f64> = row.try_get("oldest").map_err(Error::outbox)?;
        let age = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Depth {
            count: count("waiting").map_err(Error::outbox)?,
            oldest: oldest.map(age),
            dead: count("dead").map_err(Error::outbox)?,
        })
    }

    async fn dead(&self, limit: usize) -> Result<Vec<DeadRow>, Error> {
        let found = sqlx::query(DEAD).bind(number(limit)).fetch_all(&self.pool).await;
        found.map_err(Error::outbox)?.iter().map(columns::dead).collect()
    }

    async fn revive(&self, event: Option<Uuid>) -> Result<u64, Error> {
        sqlx::query(REVIVE)
            .bind(event)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }

    async fn prune(&self) -> Result<u64, Error> {
        sqlx::query(PRUNE)
            .bind(RETENTION.as_secs_f64())
            .bind(i64::from(PRUNED))
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(Error::outbox)
    }
}

/// Rows of one partition that are read: four times what comes to each, because partitions fill unevenly.
fn per_partition(limit: usize, partitions: usize) -> usize {
    limit.div_ceil(partitions).saturating_mul(4).clamp(MORE, limit.max(MORE))
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
