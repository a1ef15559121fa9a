//! One member of a group on the embedded bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messaging::{Delivery, Error, Reason, Tag, Track};
use tokio::sync::watch;

use super::Shared;
use super::presence::Presence;
use super::{POLL, claim, dead_letters};
use crate::columns;

const RESCHEDULE: &str = "UPDATE pending SET visible_at = ?3, fence = fence + 1, attempts = max(attempts - ?4, 0)
    WHERE seq = ?1 AND fence = ?2";

/// A member of a group.
pub(super) struct Subscription {
    shared: Arc<Shared>,
    group: i64,
    track: Track,
    /// Where it is the canary.
    presence: Option<Presence>,
    lease: Duration,
    signal: watch::Receiver<u64>,
    closed: AtomicBool,
}

impl Subscription {
    pub(super) async fn join(shared: Arc<Shared>, group: i64, track: Track, lease: Duration) -> Result<Self, Error> {
        let signal = shared.signals.subscribe(group);
        let presence = (track == Track::Canary).then(|| Presence::new(group, lease));
        let member = Self { shared, group, track, presence, lease, signal, closed: AtomicBool::new(false) };
        member.heartbeat().await?;
        Ok(member)
    }

    /// Renews the presence of the canary, where this is one and it is time.
    async fn heartbeat(&self) -> Result<(), Error> {
        match &self.presence {
            Some(presence) => presence.renew(&self.shared).await,
            None => Ok(()),
        }
    }

    /// Makes a delivery due at a later time. Its fence goes up, so that who holds it now cannot settle it any more.
    async fn reschedule(&self, tag: Tag, after: Duration, uncounted: i64) -> Result<(), Error> {
        let done = sqlx::query(RESCHEDULE)
            .bind(tag.position)
            .bind(tag.fence)
            .bind(self.shared.now().saturating_add(columns::micros(after)))
            .bind(uncounted)
            .execute(&self.shared.database.write)
            .await
            .map_err(Error::bus)?;
        self.shared.signals.wake(self.group);
        or_lost(done.rows_affected() == 1)
    }
}

fn or_lost(ours: bool) -> Result<(), Error> {
    if ours { Ok(()) } else { Err(Error::Lost) }
}

#[async_trait]
impl messaging::Subscription for Subscription {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let mut signal = self.signal.clone();
        loop {
            // Marked before the tables are read: what is signalled after that ends the wait.
            signal.mark_unchanged();
            if self.closed.load(Ordering::Acquire) {
                return Ok(Vec::new());
            }
            self.heartbeat().await?;
            let found = claim::ready(&self.shared, self.group, self.track).await?;
            if found.at(self.shared.now()) {
                let Self { shared, group, track, lease, .. } = self;
                let claim = claim::Claim { shared, group: *group, track: *track, lease: *lease, max };
                let deliveries = claim.run(&found).await?;
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            } else {
                let renewal = self.presence.as_ref().map(Presence::due);
                let due = found.due.into_iter().chain(renewal).min();
                let is_due = || due.is_some_and(|due| due <= self.shared.now());
                self.shared.signals.wait(&mut signal, POLL, is_due).await;
            }
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let result = self.shared.acks.settle(delivery.tag, &self.shared.database.write).await;
        self.shared.signals.wake(self.group);
        result
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.reschedule(delivery.tag, after, 0).await
    }

    async fn postpone(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        // One more than this: a member that is killed meanwhile must not make a culprit of it.
        self.reschedule(delivery.tag, after, 2).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.reschedule(delivery.tag, Duration::ZERO, 1).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        let done = sqlx::query("UPDATE pending SET visible_at = ?3 WHERE seq = ?1 AND fence = ?2")
            .bind(delivery.tag.position)
            .bind(delivery.tag.fence)
            .bind(self.shared.now().saturating_add(columns::micros(self.lease)))
            .execute(&self.shared.database.write)
            .await
            .map_err(Error::bus)?;
        // A canary that has as much as it may hold does not fetch, which is where it would renew its presence.
        if let Err(error) = self.heartbeat().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the canary's presence was not renewed");
        }
        or_lost(done.rows_affected() == 1)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let done = dead_letters::insert(&self.shared.database, delivery.tag, &reason, self.shared.now());
        let ours = done.await?;
        self.shared.signals.wake(self.group);
        or_lost(ours)
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(presence) = &self.presence {
            presence.end(&self.shared).await;
        }
        self.shared.signals.wake(self.group);
    }
}
