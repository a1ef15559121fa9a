//! A canary's presence: while its lease lasts, marked events are the canary's alone.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use messaging::Error;
use uuid::Uuid;

use super::Shared;
use crate::columns;

const RENEW: &str = "INSERT INTO canaries (grp, member, until) VALUES (?1, ?2, ?3)
    ON CONFLICT (grp, member) DO UPDATE SET until = excluded.until";

/// One canary's presence in its group, a lease.
pub(super) struct Presence {
    group: i64,
    member: Uuid,
    lease: Duration,
    /// When it has to be renewed.
    due: AtomicI64,
    /// Never again: what is still in hand is finished without it.
    ended: AtomicBool,
}

impl Presence {
    pub(super) fn new(group: i64, lease: Duration) -> Self {
        Self { group, member: Uuid::new_v4(), lease, due: AtomicI64::new(i64::MIN), ended: AtomicBool::new(false) }
    }

    /// When to call [`Self::renew`] next.
    pub(super) fn due(&self) -> i64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Renews the lease where a third of it has passed; of several who come at once, one does. Forgets canaries that are
    /// gone.
    pub(super) async fn renew(&self, shared: &Shared) -> Result<(), Error> {
        let (now, due) = (shared.now(), self.due());
        let next = now.saturating_add(columns::micros(self.lease / 3));
        // Further ahead than a third of the lease: the clock was, when that was written.
        if (now + 1..=next).contains(&due)
            || self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let renewed = self.write(shared, now).await;
        if renewed.is_err() {
            self.due.store(now, Ordering::Relaxed);
        }
        renewed.map_err(Error::bus)
    }

    async fn write(&self, shared: &Shared, now: i64) -> Result<(), sqlx::Error> {
        let mut tx = shared.database.begin().await?;
        // Read while nobody else can write: `end` comes before this, and is seen, or after, and deletes the row again.
        if self.ended.load(Ordering::Acquire) {
            return Ok(());
        }
        let until = now.saturating_add(columns::micros(self.lease));
        let member = self.member.as_bytes().as_slice();
        sqlx::query("DELETE FROM canaries WHERE until < ?1 OR until > ?2")
            .bind(now)
            .bind(columns::horizon(now))
            .execute(&mut *tx)
            .await?;
        sqlx::query(RENEW).bind(self.group).bind(member).bind(until).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Leaves marked events to others at once.
    pub(super) async fn end(&self, shared: &Shared) {
        self.ended.store(true, Ordering::Release);
        let deleted = sqlx::query("DELETE FROM canaries WHERE grp = ?1 AND member = ?2")
            .bind(self.group)
            .bind(self.member.as_bytes().as_slice())
            .execute(&shared.database.write);
        if let Err(error) = deleted.await {
            tracing::debug!(%error, "others take over when the canary's lease ends");
        }
    }
}
