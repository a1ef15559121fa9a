//! How relays share the parts of an outbox: each holds about as many leases as the others.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Keys are spread over this many parts, so at most as many relays work at the same time. The number is stored with
/// each row (`record`): to change it, let the outbox run empty first.
pub(super) const PARTS: i16 = 64;

const PRESENT: &str = "INSERT INTO outbox_relay (owner, until) VALUES ($1, $2)
    ON CONFLICT (owner) DO UPDATE SET until = excluded.until";

const FORGET: &str = "DELETE FROM outbox_relay WHERE until <= $1";

/// What is ours stays ours as long as nobody else has taken it, even if we come late.
const RENEW: &str = "UPDATE outbox_lease SET until = $2 WHERE owner = $1 RETURNING part, fence";

const TAKE: &str = "UPDATE outbox_lease SET owner = $1, until = $3, fence = fence + 1
    WHERE part IN (SELECT part FROM outbox_lease WHERE owner <> $1 AND until <= $2
                   ORDER BY part LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING part, fence";

const LEAVE: &str = "UPDATE outbox_lease SET owner = '', until = '-infinity' WHERE owner = $1 AND part = ANY($2)";

const RELEASE: &str = "WITH gone AS (DELETE FROM outbox_relay WHERE owner = $1)
    UPDATE outbox_lease SET owner = '', until = '-infinity' WHERE owner = $1";

/// The leases of one relay.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The fence of each part.
    pub(super) fences: BTreeMap<i16, i64>,
    /// Whether other relays are at work.
    pub(super) others: bool,
}

/// Renews what the owner holds, takes what is free up to its share, and leaves what is more than that.
///
/// Nothing of the owner may be on its way to the bus meanwhile.
pub(super) async fn renew(
    pool: &PgPool,
    owner: &str,
    now: OffsetDateTime,
    lease: Duration,
) -> Result<Held, sqlx::Error> {
    let until = now + lease;
    let mut tx = pool.begin().await?;
    sqlx::query(FORGET).bind(now).execute(&mut *tx).await?;
    sqlx::query(PRESENT).bind(owner).bind(until).execute(&mut *tx).await?;
    let relays: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox_relay").fetch_one(&mut *tx).await?;
    let share = usize::try_from(i64::from(PARTS).unsigned_abs().div_ceil(relays.unsigned_abs().max(1))).unwrap_or(1);
    let renewed: Vec<(i16, i64)> = sqlx::query_as(RENEW).bind(owner).bind(until).fetch_all(&mut *tx).await?;
    let mut fences: BTreeMap<i16, i64> = renewed.into_iter().collect();
    if let Some(free) = share.checked_sub(fences.len()).filter(|free| *free > 0) {
        fences.extend(take(&mut tx, owner, now, until, free).await?);
    }
    let excess: Vec<i16> = fences.keys().skip(share).copied().collect();
    if !excess.is_empty() {
        sqlx::query(LEAVE).bind(owner).bind(&excess).execute(&mut *tx).await?;
        fences.retain(|part, _| !excess.contains(part));
    }
    tx.commit().await?;
    Ok(Held { fences, others: relays > 1 })
}

async fn take(
    tx: &mut PgConnection,
    owner: &str,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: usize,
) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sqlx::query_as(TAKE).bind(owner).bind(now).bind(until).bind(limit).fetch_all(tx).await
}

/// Gives up everything that the owner holds.
pub(super) async fn release(pool: &PgPool, owner: &str) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE).bind(owner).execute(pool).await.map(drop)
}
