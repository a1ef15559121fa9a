//! How the relays of a service divide the partitions of its outbox: each holds about as many leases as the others.

use std::{collections::BTreeMap, time::Duration};

/// Keys are spread over this many partitions, so at most as many relays work at the same time. Each row has the number of
/// its partition (column `part`): to change how many there are, let the outbox run empty first.
pub(super) const PARTITIONS: i16 = 64;

/// All times are the server's: relays on several machines trust them.
const HEARTBEAT: &str = "INSERT INTO outbox_relay (owner, until) VALUES ($1, now() + make_interval(secs => $2))
    ON CONFLICT (owner) DO UPDATE SET until = excluded.until";

/// Also what ends beyond the horizon: it was stored while the server's clock was wrong.
const EXPIRE: &str = "DELETE FROM outbox_relay WHERE until <= now() OR until > now() + make_interval(secs => $1)";

/// No condition on `until`: a lease that has run out and that nobody else has claimed is still the owner's, with the
/// same fence, so what it published under it may be confirmed.
const RENEW: &str = "UPDATE outbox_lease SET until = now() + make_interval(secs => $2)
    WHERE owner = $1 RETURNING part, fence";

/// `SKIP LOCKED`: two relays that claim at the same time take different partitions and do not wait for each other.
/// The fence goes up here and nowhere else, so it differs between any two owners of a partition.
const CLAIM: &str = "UPDATE outbox_lease SET owner = $1, until = now() + make_interval(secs => $2), fence = fence + 1
    WHERE part IN (SELECT part FROM outbox_lease
                   WHERE owner <> $1 AND (until <= now() OR until > now() + make_interval(secs => $3))
                   ORDER BY part LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING part, fence";

/// `owner = $1` guards against a partition that another relay has claimed since it was read.
const REVOKE: &str = "UPDATE outbox_lease SET owner = '', until = '-infinity' WHERE owner = $1 AND part = ANY($2)";

const RELEASE: &str = "WITH gone AS (DELETE FROM outbox_relay WHERE owner = $1)
    UPDATE outbox_lease SET owner = '', until = '-infinity' WHERE owner = $1";

/// The leases of one relay.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// The fence of each partition.
    pub(super) fences: BTreeMap<i16, i64>,
    /// Whether other relays are at work.
    pub(super) others: bool,
}

/// Renews what the owner holds, claims what is free up to its quota, and revokes what is more than that.
///
/// The caller is the owner's only relay and has nothing on its way to the bus meanwhile: a partition that is revoked
/// here is claimed by another relay at once, and the events of its keys must not pass each other.
pub(super) async fn renew(pool: &crate::Pool, owner: &str, lease: Duration) -> Result<Assignment, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // The dead are dropped before anybody is counted: their partitions are part of everybody's quota from now on.
    sqlx::query(EXPIRE).bind(clock::HORIZON.as_secs_f64()).execute(&mut *tx).await?;
    sqlx::query(HEARTBEAT).bind(owner).bind(lease.as_secs_f64()).execute(&mut *tx).await?;
    // Relays that count at the same time may not see each other yet. Then the quotas are too large for one round, and
    // leases are unevenly divided, but never held twice: that is decided by CLAIM alone.
    let relays: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox_relay").fetch_one(&mut *tx).await?;
    // Rounded up, so that every partition has an owner whatever the number of relays.
    let quota =
        usize::try_from(i64::from(PARTITIONS).unsigned_abs().div_ceil(relays.unsigned_abs().max(1))).unwrap_or(1);
    let renewed: Vec<(i16, i64)> =
        sqlx::query_as(RENEW).bind(owner).bind(lease.as_secs_f64()).fetch_all(&mut *tx).await?;
    let mut fences: BTreeMap<i16, i64> = renewed.into_iter().collect();
    if let Some(free) = quota.checked_sub(fences.len()).filter(|free| *free > 0) {
        fences.extend(claim(&mut tx, owner, lease, free).await?);
    }
    // The partitions with the highest numbers go, always the same ones: relays that come and go move as few as possible.
    let excess: Vec<i16> = fences.keys().skip(quota).copied().collect();
    if !excess.is_empty() {
        sqlx::query(REVOKE).bind(owner).bind(&excess).execute(&mut *tx).await?;
        fences.retain(|partition, _| !excess.contains(partition));
    }
    tx.commit().await?;
    Ok(Assignment { fences, others: relays > 1 })
}

async fn claim(
    tx: &mut crate::Connection,
    owner: &str,
    lease: Duration,
    limit: usize,
) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (lease, horizon) = (lease.as_secs_f64(), clock::HORIZON.as_secs_f64());
    sqlx::query_as(CLAIM).bind(owner).bind(lease).bind(horizon).bind(limit).fetch_all(tx).await
}

/// Releases everything that the owner holds.
pub(super) async fn release(pool: &crate::Pool, owner: &str) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE).bind(owner).execute(pool).await.map(drop)
}
