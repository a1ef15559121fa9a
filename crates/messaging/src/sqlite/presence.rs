//! A canary's sign of life: while it lasts, marked events are the canary's alone.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::bus::Shared;
use super::rows;
use crate::Error;

const RENEW: &str = "INSERT INTO canaries (grp, member, until) VALUES (?1, ?2, ?3)
    ON CONFLICT (grp, member) DO UPDATE SET until = excluded.until";

/// One canary's presence in its group, a lease.
pub(super) struct Presence {
    group: i64,
    member: Uuid,
    lease: Duration,
    /// When it has to be renewed.
    due: AtomicI64,
}

impl Presence {
    pub(super) fn new(group: i64, lease: Duration) -> Self {
        Self { group, member: Uuid::new_v4(), lease, due: AtomicI64::new(i64::MIN) }
    }

    /// When to call [`Self::renew`] next.
    pub(super) fn due(&self) -> i64 {
        self.due.load(Ordering::Relaxed)
    }

    /// Renews the lease where a third of it has passed; forgets canaries that are gone.
    pub(super) async fn renew(&self, shared: &Shared) -> Result<(), Error> {
        let now = shared.now();
        if now < self.due() {
            return Ok(());
        }
        let until = now.saturating_add(rows::micros(self.lease));
        let renewed = async {
            let mut tx = shared.database.begin().await?;
            sqlx::query("DELETE FROM canaries WHERE until < ?1").bind(now).execute(&mut *tx).await?;
            sqlx::query(RENEW)
                .bind(self.group)
                .bind(self.member.as_bytes().as_slice())
                .bind(until)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        renewed.await.map_err(Error::bus)?;
        self.due.store(now.saturating_add(rows::micros(self.lease / 3)), Ordering::Relaxed);
        Ok(())
    }

    /// Leaves marked events to others at once.
    pub(super) async fn end(&self, shared: &Shared) {
        let gone = sqlx::query("DELETE FROM canaries WHERE grp = ?1 AND member = ?2")
            .bind(self.group)
            .bind(self.member.as_bytes().as_slice())
            .execute(&shared.database.write);
        if let Err(error) = gone.await {
            tracing::debug!(%error, "others take over when the canary's lease ends");
        }
    }
}
